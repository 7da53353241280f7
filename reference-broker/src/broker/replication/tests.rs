use super::*;

#[test]
fn a_fetch_ends_when_a_replica_that_was_left_alone_is_due() {
    let (now, ms) = (Instant::now(), Duration::from_millis);
    let mut waiting = Waiting::new();
    assert_eq!(wait_until_first(&waiting, now, ms(500)), ms(500));
    waiting.insert(([0; 16], 0), now + ms(900));
    assert_eq!(wait_until_first(&waiting, now, ms(500)), ms(500));
    waiting.insert(([0; 16], 1), now + ms(50));
    assert_eq!(wait_until_first(&waiting, now, ms(500)), ms(50));
    assert_eq!(wait_until_first(&waiting, now + ms(60), ms(500)), ms(0));
}
