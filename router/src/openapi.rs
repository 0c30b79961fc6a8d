//! The OpenAPI 3.1 document, made from the table of operations and the schemas of the messages.

use bailiwick_proto::failure::ErrorBody;
use bailiwick_proto::v1;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::operation::{Access, Content, Operation};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut schemas = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in Operation::ALL {
        let entry = describe(operation, &mut schemas);
        let path = paths.entry(operation.path()).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(operation.method().as_str().to_ascii_lowercase(), entry);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bailiwick",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Recommendations whose algorithm follows from the law of the place and the person's own choices.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

fn describe(operation: Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut entry = json!({
        "operationId": operation.name(),
        "parameters": parameters(operation),
        "security": security(operation),
        "responses": responses(operation, schemas),
    });
    let body = match operation.content() {
        Content::Nothing => None,
        Content::Message => {
            Some(json!({ "application/json": { "schema": request(operation, schemas) } }))
        }
        Content::Lines => {
            let words = "One item a line, as JSON.";
            let schema = json!({ "type": "string", "description": words });
            refer::<v1::Item>(schemas);
            Some(json!({ "application/x-ndjson": { "schema": schema } }))
        }
    };
    if let (Some(content), Some(fields)) = (body, entry.as_object_mut()) {
        fields.insert("requestBody".to_owned(), json!({ "content": content }));
    }
    entry
}

fn refer<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().into()
}

fn request(operation: Operation, schemas: &mut SchemaGenerator) -> Value {
    match operation {
        Operation::RecordEvents => refer::<v1::RecordEventsRequest>(schemas),
        Operation::PutConsent => refer::<v1::PutConsentRequest>(schemas),
        Operation::PutInterests => refer::<v1::PutInterestsRequest>(schemas),
        Operation::StartLearning => refer::<v1::StartLearningRequest>(schemas),
        Operation::RollBackModel => refer::<v1::RollBackModelRequest>(schemas),
        Operation::Echo => refer::<v1::EchoRequest>(schemas),
        _ => refer::<v1::RecommendRequest>(schemas),
    }
}

fn answer(operation: Operation, schemas: &mut SchemaGenerator) -> Value {
    match operation {
        Operation::Recommend => refer::<v1::RecommendResponse>(schemas),
        Operation::RecordEvents => refer::<v1::RecordEventsResponse>(schemas),
        Operation::GetConsent | Operation::PutConsent => refer::<v1::Consent>(schemas),
        Operation::GetInterests | Operation::PutInterests => refer::<v1::Interests>(schemas),
        Operation::Export => refer::<v1::ExportResponse>(schemas),
        Operation::Erase => refer::<v1::ErasureReceipt>(schemas),
        Operation::GetErasure => refer::<v1::Erasure>(schemas),
        Operation::PutItems => refer::<v1::PutItemsResponse>(schemas),
        Operation::GetItem => refer::<v1::Item>(schemas),
        Operation::DeleteItem => refer::<v1::DeleteItemResponse>(schemas),
        Operation::ListPolicies => refer::<v1::ListPoliciesResponse>(schemas),
        Operation::GetPolicy => refer::<v1::Policy>(schemas),
        Operation::ClusterStatus => refer::<v1::ClusterStatus>(schemas),
        Operation::StartLearning | Operation::LearningStatus | Operation::RollBackModel => {
            refer::<v1::LearningStatus>(schemas)
        }
        Operation::Echo => refer::<v1::EchoResponse>(schemas),
    }
}

fn responses(operation: Operation, schemas: &mut SchemaGenerator) -> Value {
    let schema = answer(operation, schemas);
    let error = refer::<ErrorBody>(schemas);
    let status = if operation == Operation::Erase { "202" } else { "200" };
    let mut found = json!({
        status: { "description": "The answer.", "content": { "application/json": { "schema": schema } } },
        "default": { "description": "A failure.", "content": { "application/json": { "schema": error } } },
    });
    let elsewhere =
        json!({ "description": "The person's home takes this: send it again to Location." });
    if let (true, Some(fields)) = (operation.leaves_home(), found.as_object_mut()) {
        fields.insert("307".to_owned(), elsewhere);
    }
    found
}

fn parameters(operation: Operation) -> Vec<Value> {
    let variable =
        operation.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let string = json!({ "type": "string" });
    let mut found: Vec<Value> = variable
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": string }))
        .collect();
    let query = operation.query().iter();
    found.extend(query.map(|name| json!({ "name": name, "in": "query", "schema": string })));
    let headers = [
        ("Sec-GPC", "1: the global privacy control."),
        ("X-Request-Timeout-Ms", "How long the caller waits, in milliseconds."),
    ];
    found.extend(headers.map(|(name, description)| {
        json!({ "name": name, "in": "header", "schema": string, "description": description })
    }));
    found
}

/// Bearer tokens carry their scopes; any one of those that are listed will do.
fn security(operation: Operation) -> Value {
    match operation.access() {
        Access::Open(scope) => json!([{}, { "bearer": [scope.as_str()] }]),
        Access::Token => json!([{ "bearer": [] }]),
        Access::Scoped(scopes) => {
            scopes.iter().map(|scope| json!({ "bearer": [scope.as_str()] })).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_operation_is_described_and_nothing_else() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        for operation in Operation::ALL {
            let method = operation.method().as_str().to_lowercase();
            let entry = &paths[operation.path()][&method];
            assert_eq!(entry["operationId"], operation.name(), "{operation:?}");
        }
        let described: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, Operation::ALL.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > Operation::ALL.len(), "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}
