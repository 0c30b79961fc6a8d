//! The fields of a pack file and what each means: the schema, in one table.

/// Path and meaning. A `*` stands for a name that the file chooses.
const FIELDS: &[(&str, &str)] = &[
    ("schema", "version of the file format, 1"),
    ("pack", "the jurisdiction, `EU-DE`"),
    ("version", "version of the pack, strictly increasing from 1"),
    ("title", "name for people"),
    ("inherits", "the parent pack; none for a root"),
    ("domain", "the residency domain where this home's linked data lives"),
    ("applies", "to whom: resident, present"),
    ("effective_from", "first day in force, UTC"),
    ("effective_to", "last day in force"),
    ("review_by", "day to look again; 90 days later the pack counts as STRICT"),
    ("set", "values of fields that an ancestor delegates"),
    ("set.*", "value of a field that an ancestor delegates, in years"),
    ("delegated", "fields that children may set"),
    ("delegated.*", "a field that children may set, with its bounds"),
    ("delegated.*.default", "value where no child sets one, in years"),
    ("delegated.*.min", "least value a child may set, in years"),
    ("delegated.*.max", "largest value a child may set, in years"),
    ("delegated.*.cite", "the law that delegates"),
    ("legal_basis", "where the law says so"),
    ("legal_basis.rule", "id of a rule, name of a section or of a set value, or a list of them"),
    ("legal_basis.cite", "the citation"),
    ("legal_basis.status", "firm, or differs where reasonable lawyers disagree"),
    ("age_rules", "what holds from an age on"),
    ("age_rules.id", "name of the rule, cited in legal_basis"),
    ("age_rules.from", "first age in years, or { delegated = \"name\" }"),
    ("age_rules.svc", "kinds of service it is limited to"),
    ("age_rules.basis", "on what use rests"),
    ("age_rules.without", "signals granted without that basis"),
    ("age_rules.with", "signals granted with it, `without` included"),
    ("age_rules.events_without", "what events may feed without it"),
    ("age_rules.events_with", "what events may feed with it"),
    ("unknown_age", "what an unknown age counts as: minor or adult"),
    ("unknown_age.default", "for every service not named"),
    ("unknown_age.general", "for general services"),
    ("unknown_age.social", "for social networks"),
    ("unknown_age.vlop", "for very large platforms"),
    ("sensitive", "sensitive attributes"),
    ("sensitive.basis", "on what their use rests"),
    ("sensitive.exclude", "attributes that are never features without it"),
    ("signals", "signals that the person or the browser sends"),
    ("signals.gpc", "what the global privacy control removes"),
    ("signals.toggle_off", "what the switch removes besides ses exp beh xpt sen"),
    ("residency", "where linked data may be"),
    ("residency.store_in", "domains where it may be stored"),
    ("residency.process_in", "domains where it may be read"),
    ("residency.primary_copy", "domains that must hold a copy"),
    ("transfer_mechanisms", "what lets data go to other domains"),
    ("transfer_mechanisms.to", "the domains"),
    ("transfer_mechanisms.mechanism", "the kind of mechanism"),
    ("transfer_mechanisms.cite", "the citation"),
    ("transfer_mechanisms.valid_until", "last day on which it holds"),
    ("rights", "deadlines of people's rights"),
    ("rights.access_days", "days to answer a request for access"),
    ("rights.erasure_days", "days to erase"),
    ("retention", "how long data is kept"),
    ("retention.profile_days", "days that an unused profile is kept"),
    ("retention.events_days", "days that events are kept"),
    ("retention.decision_log_days", "least and most days that decision logs are kept, [min, max]"),
    ("transparency", "what people must be told or given"),
    ("oversight", "what is owed to the authorities"),
    ("ranking", "bounds on rankings"),
    ("ranking.k_min", "fewest people behind a released count"),
    ("ranking.diversity_floor", "least diversity of a list, 0 to 1"),
    ("ranking.local_share", "shares of a list, by jurisdiction of the items' origin"),
    ("ranking.local_share.*", "share of a list, above 0 and up to 1"),
    ("ranking.dp_epsilon_max", "largest privacy budget of released aggregates"),
];

/// Sections that a citation may name besides the ids of rules.
pub(super) const CITED_SECTIONS: &[&str] = &[
    "unknown_age",
    "sensitive",
    "signals",
    "residency",
    "rights",
    "retention",
    "transparency",
    "oversight",
    "ranking",
];

/// What the field at `path` means.
pub(super) fn meaning(path: &str) -> &'static str {
    FIELDS.iter().find(|(field, _)| *field == path).map_or("", |(_, meaning)| meaning)
}

/// The names that may stand directly inside the table at `path`; empty at the root.
pub(super) fn names_in(path: &str) -> Vec<&'static str> {
    let inside = |field: &'static str| match path {
        "" => Some(field),
        _ => field.strip_prefix(path)?.strip_prefix('.'),
    };
    FIELDS.iter().filter_map(|(field, _)| inside(field)).filter(|n| !n.contains('.')).collect()
}
