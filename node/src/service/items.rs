//! The catalogue's writes and reads, and reads of one's own writes.

use bailiwick_core::ids::{GroupId, ItemId};
use bailiwick_core::kind::Kind;
use bailiwick_net::token::Scope;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::store::catalog_command::Change;
use bailiwick_proto::store::{CatalogCommand, CatalogOutcome, DeleteItem, PutItems};
use bailiwick_proto::{edge, v1, validate};
use prost::Message as _;

use super::State;
use crate::catalog::{self, Catalogue};
use crate::cluster::{Group, Proposed};

/// Items of one command: it stays far below a frame.
const ITEMS_MAX: usize = 200;

impl State {
    fn catalog(&self) -> Result<&Group, Failure> {
        let group = self.groups.get(&GroupId::Catalog(0));
        group
            .map(|group| &**group)
            .ok_or_else(|| Failure::new(Kind::Broken, "no catalogue runs here"))
    }

    async fn change_catalog(&self, change: Change) -> Result<(Proposed, CatalogOutcome), Failure> {
        let command = CatalogCommand { format: catalog::FORMAT, at_ms: 0, change: Some(change) };
        let proposed =
            self.catalog()?.propose(command.encode_to_vec().into(), self.timing.write_within * 2);
        let done = proposed.await?;
        let outcome = CatalogOutcome::decode(done.outcome.clone())
            .map_err(|error| Failure::new(Kind::Broken, error.to_string()))?;
        match outcome.refused.as_str() {
            "" => Ok((done, outcome)),
            why => Err(Failure::new(Kind::Invalid, why)),
        }
    }

    /// What no code may do: see [`crate::mutant::Mutant::TellAbroad`].
    #[cfg(any(feature = "mutants", debug_assertions))]
    pub(super) async fn tell_abroad(&self, person: &crate::seal::PersonKey) -> Result<(), Failure> {
        let key: String = person.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let item = v1::Item { item: format!("users-eu-{key}"), ..v1::Item::default() };
        let rows = vec![catalog::row_of(item)];
        self.change_catalog(Change::PutItems(PutItems { items: rows })).await.map(drop)
    }

    pub(super) async fn put_items(
        &self,
        call: edge::PutItemsCall,
    ) -> Result<v1::PutItemsResponse, Failure> {
        self.caller(call.caller)?.allowed(Scope::ItemsWrite)?;
        if call.items.len() > ITEMS_MAX {
            let words = format!("{} items in one call, at most {ITEMS_MAX}", call.items.len());
            return Err(Failure::invalid("items", words));
        }
        let mut answer = v1::PutItemsResponse::default();
        let (mut lines, mut rows) = (Vec::new(), Vec::new());
        for (line, item) in (1..).zip(call.items) {
            match validate::item(item.clone()) {
                Ok(_) => {
                    lines.push(line);
                    rows.push(catalog::row_of(item));
                }
                Err(failure) => answer.errors.push(line_error(line, failure.message)),
            }
        }
        if !rows.is_empty() {
            let (done, outcome) =
                self.change_catalog(Change::PutItems(PutItems { items: rows })).await?;
            answer.upserted = outcome.changed;
            for refusal in outcome.refusals {
                let at = usize::try_from(refusal.position).unwrap_or(usize::MAX);
                let line = lines.get(at).copied().unwrap_or_default();
                answer.errors.push(line_error(line, refusal.error));
            }
            answer.revision = self.revision(&GroupId::Catalog(0), done.log_index);
        }
        Ok(answer)
    }

    pub(super) fn get_item(&self, call: edge::GetItemCall) -> Result<v1::Item, Failure> {
        // The catalogue is public within the cluster's apps: any token that may ask for items may read.
        self.caller(call.caller)?.allowed(Scope::ItemsWrite)?;
        let item = item_id(&call.item)?;
        let found = Catalogue::item(self.catalog()?.reader(), &item);
        found.ok_or_else(|| Failure::new(Kind::NotFound, "there is no such item"))
    }

    pub(super) async fn delete_item(
        &self,
        call: edge::DeleteItemCall,
    ) -> Result<v1::DeleteItemResponse, Failure> {
        self.caller(call.caller)?.allowed(Scope::ItemsWrite)?;
        let item = item_id(&call.item)?.to_string();
        let (done, outcome) = self.change_catalog(Change::DeleteItem(DeleteItem { item })).await?;
        if outcome.changed == 0 {
            return Err(Failure::new(Kind::NotFound, "there is no such item"));
        }
        let revision = self.revision(&GroupId::Catalog(0), done.log_index);
        Ok(v1::DeleteItemResponse { revision: revision.unwrap_or_default() })
    }
}

fn line_error(line: u32, error: String) -> v1::LineError {
    v1::LineError { line, error }
}

fn item_id(text: &str) -> Result<ItemId, Failure> {
    ItemId::new(text).map_err(|error| Failure::invalid("item", error.to_string()))
}
