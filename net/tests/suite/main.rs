//! One suite for both transports: what holds in memory holds over QUIC.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // tests
#![allow(unreachable_pub)] // one binary

mod handler;
mod memory;
mod quic;
mod stories;
mod world;

macro_rules! suite {
    ($($story:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $story() {
                crate::stories::$story(crate::memory::InMemory::default()).await;
            })*
        }
        mod over_quic {
            $(#[tokio::test]
            async fn $story() {
                crate::stories::$story(crate::quic::OverQuic::default()).await;
            })*
        }
    };
}

suite! {
    a_call_is_answered_and_counted,
    a_failure_arrives_as_it_was_sent,
    a_call_without_a_reply_is_uncertain,
    frames_keep_their_order_both_ways,
    a_big_frame_passes_and_a_bigger_one_is_not_sent,
    a_slow_reader_holds_up_its_writer,
    a_stream_that_is_cut_never_ends_in_order,
    bulk_takes_a_connection_of_its_own,
    a_peer_that_comes_back_is_reached_again,
    a_partition_breaks_links_and_healing_mends_them,
    an_absent_peer_is_refused_at_once_while_it_is_too_early,
    a_node_never_routes_to_itself,
    another_node_at_the_address_is_not_spoken_to,
    a_node_minted_by_another_domain_is_not_spoken_to,
    a_node_minted_by_another_domain_is_not_listened_to,
    a_router_is_not_a_peer,
    a_pinned_group_is_not_sent_abroad,
    a_foreigner_that_sends_for_a_pinned_group_is_refused_unread,
    a_pinned_answer_stays_at_home,
    a_pinned_value_goes_only_where_it_was_cleared_for,
    too_many_calls_are_shed,
    a_shutdown_lets_a_call_end_and_takes_no_new_one,
}
