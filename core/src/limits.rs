//! Every bound on what is taken in, in one place.

/// Bytes of a jurisdiction's id.
pub const JURISDICTION_BYTES_MAX: usize = 32;
/// Bytes of a domain, region, node or cluster name.
pub const LABEL_BYTES_MAX: usize = 48;
/// Bytes of an item's id.
pub const ITEM_ID_BYTES_MAX: usize = 128;
/// Bytes of a token's `sub`.
pub const SUBJECT_BYTES_MAX: usize = 128;
/// Bytes of a token's `iss`.
pub const ISSUER_BYTES_MAX: usize = 256;
/// Bytes of an event's id.
pub const EVENT_ID_BYTES_MAX: usize = 128;
/// Buckets that a domain's people fall into.
pub const SLOTS: u16 = 4096;
/// Items of a slate.
pub const SLATE_ITEMS_MAX: u32 = 1000;
/// Items of a slate when the request names no limit.
pub const SLATE_ITEMS_DEFAULT: u32 = 20;
/// Items that one request may name in `session`.
pub const SESSION_ITEMS_MAX: usize = 200;
/// Items that one request may name in `exclude`.
pub const EXCLUDE_ITEMS_MAX: usize = 1000;
/// Values in one list of a filter.
pub const FILTER_VALUES_MAX: usize = 64;
/// Events of one request.
pub const EVENTS_MAX: usize = 1000;
/// Bytes of a request body.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Bytes of an upload of items.
pub const ITEMS_BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of one item's line.
pub const ITEM_LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a title or creator.
pub const TITLE_BYTES_MAX: usize = 1024;
/// Categories of one item; also interests of one kind of one person.
pub const CATEGORIES_MAX: usize = 64;
/// Bytes of one category, language or attribute key.
pub const CATEGORY_BYTES_MAX: usize = 128;
/// Attributes of one item.
pub const ATTRIBUTES_MAX: usize = 64;
/// Bytes of one attribute value.
pub const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// Dimensions of an item vector.
pub const VECTOR_DIMENSIONS_MAX: usize = 2048;
/// Blocked items of one person.
pub const BLOCKS_MAX: usize = 10_000;
/// Bytes of one value in the applied state; larger ones are split or refused.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// A receipt of a grant is good for this long, in milliseconds.
pub const RECEIPT_LIFE_MS: i64 = 10 * 60 * 1000;
/// A token may live at most this long, in seconds.
pub const TOKEN_LIFE_S_MAX: u64 = 3600;
/// A read that carries a revision waits at most this long for the replica, in milliseconds.
pub const REVISION_WAIT_MS_MAX: u64 = 1000;
/// Clocks may differ by at most this much, in milliseconds, before a node is not ready.
pub const CLOCK_SKEW_MS_MAX: i64 = 2000;
