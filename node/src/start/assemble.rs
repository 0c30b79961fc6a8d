//! What the services share, put together of what was opened.

use std::sync::Arc;

use bailiwick_core::ids::GroupId;
use bailiwick_core::pinned::Standpoint;
use bailiwick_net::token::TokenVerifier;

use super::error::StartError;
use super::groups::{Derived, Opening};
use crate::buffer::{BufferBounds, EventBuffer};
use crate::cluster::{Groups, Heard};
use crate::decisions::Decisions;
use crate::files::{Exchange, Folder};
use crate::generations::{Counts, Generations};
use crate::learning::checkpoint::Checkpoints;
use crate::learning::model::Models;
use crate::learning::{Learner, ListsMade, Offers, Rows};
use crate::receipt::{ReceiptKeys, ReceiptSigner};
use crate::recommend::Popularity as DomainPopularity;
use crate::revision::RevisionKeys;
use crate::seal::{Entropy, Secret};
use crate::seams::Seams;
use crate::service::{Away, Errands, Household, Law, People, State, Timing};
use crate::users::{Builder, Popularity, Vault};

impl Opening<'_> {
    fn exchange(&self, derived: &Derived) -> Arc<Exchange> {
        Arc::new(Exchange {
            name: self.identity.name.clone(),
            domain: self.identity.domain.clone(),
            mesh: Arc::clone(&self.mesh),
            control: Arc::clone(&derived.control),
            offload: self.seams.offload,
        })
    }

    fn generations(
        &self,
        derived: &Derived,
        groups: &Groups,
        exchange: &Arc<Exchange>,
    ) -> Result<Generations, StartError> {
        let folder = Folder::open(&self.config.data_dir.join("generations"), "index")?;
        Ok(Generations {
            exchange: Arc::clone(exchange),
            groups: groups.clone(),
            catalogue: Arc::clone(&derived.catalogue),
            folder: Arc::new(folder),
            counts: Counts::default(),
        })
    }

    fn learner(
        &self,
        derived: &Derived,
        groups: &Groups,
        exchange: &Arc<Exchange>,
        households: &[Household],
        law: &Arc<Law>,
    ) -> Result<Learner, StartError> {
        let rows = |household: &Household| Rows {
            reader: household.group.reader().clone(),
            vault: Arc::clone(&household.vault),
        };
        Ok(Learner {
            name: self.identity.name.clone(),
            here: Standpoint::attested(self.identity.domain.clone()),
            mesh: Arc::clone(&self.mesh),
            control: Arc::clone(&derived.control),
            groups: groups.clone(),
            people: households.iter().map(rows).collect(),
            law: Arc::clone(law),
            catalogue: Arc::clone(&derived.catalogue),
            exchange: Arc::clone(exchange),
            models: Models::open(&self.config.data_dir.join("models"))?,
            checkpoints: Checkpoints::open(&self.config.data_dir.join("trainings"))?,
            clock: Arc::clone(&self.seams.clock),
            offload: self.seams.offload,
            offers: Offers::default(),
            tally: Arc::default(),
            schedule: self.config.learning,
            lists_made: ListsMade::default(),
        })
    }

    #[allow(clippy::too_many_arguments)] // the parts of a node come together here, once
    pub(super) fn state(
        &self,
        secret: crate::seal::DomainSecret,
        receipt: &Secret,
        cluster_key: &Secret,
        verifier: TokenVerifier,
        derived: Derived,
        groups: &Groups,
        heard: Arc<Heard>,
    ) -> Result<Arc<State>, StartError> {
        let domain = self.identity.domain.clone();
        let timing = Timing::default();
        let control_group = groups.get(&GroupId::Control).cloned();
        let control_group = control_group.ok_or_else(|| StartError::Domain(domain.to_string()))?;
        let keys =
            self.bundle.domains.iter().map(|(name, trust)| (name.clone(), trust.receipt_key));
        let Seams { clock, entropy, offload, .. } = self.seams.clone();
        let folder = self.config.data_dir.join("buffer");
        let buffer = EventBuffer::open(&folder, BufferBounds::default(), offload)?;
        let folder = self.config.data_dir.join("decisions");
        let decisions = Decisions::open(&folder, self.tasks, offload)?;
        let law = Law::new(Arc::clone(&derived.control), control_group, timing.policy_lease);
        let law = Arc::new(law);
        let households = households(derived.homes.clone(), groups, &entropy);
        let exchange = self.exchange(&derived);
        let generations = Arc::new(self.generations(&derived, groups, &exchange)?);
        let learning = Arc::new(self.learner(&derived, groups, &exchange, &households, &law)?);
        let revisions = RevisionKeys::new(cluster_key, domain.clone(), &secret);
        Ok(Arc::new(State {
            identity: self.identity.clone(),
            standpoint: Standpoint::attested(domain.clone()),
            mesh: Arc::clone(&self.mesh),
            heard,
            law,
            learning,
            generations,
            control: derived.control,
            catalogue: derived.catalogue,
            people: People::new(secret, households),
            popularity: DomainPopularity::default(),
            groups: groups.clone(),
            verifier,
            anonymous_service: self.config.anonymous_service,
            ranking: self.config.ranking,
            away: Away::default(),
            receipts: ReceiptKeys::new(keys.collect()),
            signer: ReceiptSigner::new(domain, receipt)?,
            revisions,
            decisions,
            buffer: Arc::new(buffer),
            errands: Errands::default(),
            timing,
            clock,
            entropy,
            offload,
        }))
    }
}

fn households(
    homes: Vec<(Arc<Vault>, Arc<Popularity>)>,
    groups: &Groups,
    entropy: &Arc<dyn Entropy>,
) -> Vec<Household> {
    let household = |(vault, popularity): (Arc<Vault>, Arc<Popularity>)| {
        let group = groups.get(vault.group()).cloned()?;
        let entropy = Box::new(Arc::clone(entropy));
        let builder = Builder::with_entropy(Arc::clone(&vault), entropy);
        Some(Household { group, builder, vault, popularity })
    };
    homes.into_iter().filter_map(household).collect()
}
