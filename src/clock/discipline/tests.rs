use super::*;

const SECOND: i64 = 1_000_000;
/// 2027-01-15 08:00.
const START: i64 = 1_800_000_000 * SECOND;

/// Both clocks in virtual time, and our time read all the while.
struct World {
    discipline: Discipline,
    monotonic: i64,
    /// What the wall clock is ahead of one that was never touched.
    ahead: i64,
    /// Our time when it was read last.
    last: i64,
}

impl World {
    fn new() -> Self {
        Self {
            discipline: Discipline::new(0, START),
            monotonic: 0,
            ahead: 0,
            last: START,
        }
    }

    fn wall(&self) -> i64 {
        START
            .saturating_add(self.monotonic)
            .saturating_add(self.ahead)
    }

    /// Reads our time in small steps, which must never go back, and checks once a second.
    fn pass(&mut self, seconds: i64) -> Standing {
        let mut standing = Standing::InStep { offset_us: 0 };
        for _ in 0..seconds {
            for _ in 0..20 {
                self.monotonic += SECOND / 20;
                self.read();
            }
            standing = self.check();
        }
        standing
    }

    fn check(&mut self) -> Standing {
        self.discipline.check(self.monotonic, self.wall())
    }

    fn read(&mut self) {
        let now = self.discipline.course().at(self.monotonic);
        assert!(now >= self.last, "{} µs back", self.last - now);
        self.last = now;
    }

    /// What the wall clock is ahead of our time.
    fn offset(&self) -> i64 {
        self.wall() - self.discipline.course().at(self.monotonic)
    }
}

#[test]
fn d1_a_small_difference_is_worked_off_at_a_bounded_rate() {
    for drift in [1, 999, 500_000, STEP_US, -1, -999, -500_000, -STEP_US] {
        let mut world = World::new();
        world.pass(3);
        world.ahead = drift;
        let standing = world.pass(1);
        assert_eq!(standing, Standing::InStep { offset_us: drift });
        let before = world.offset();
        world.pass(100);
        let least = before.abs() - 100 * DRIFT_PPM;
        assert!(world.offset().abs() >= least, "{drift}: too fast");
        world.pass(drift.abs() / DRIFT_PPM + 2);
        assert_eq!(world.offset(), 0, "{drift}");
    }
}

#[test]
fn d1_a_clock_that_drifts_all_the_time_is_followed() {
    for ppm in [-400, 400] {
        let mut world = World::new();
        for _ in 0..10_000 {
            world.ahead += ppm;
            let standing = world.pass(1);
            assert!(matches!(standing, Standing::InStep { .. }));
        }
        assert!(world.offset().abs() < 2_000, "{}", world.offset());
    }
}

#[test]
fn d1_a_step_is_noticed_and_our_time_goes_straight_on() {
    let steps = [
        STEP_US + 1,
        -STEP_US - 1,
        300 * SECOND,
        -300 * SECOND,
        86_400 * SECOND,
        -86_400 * SECOND,
        // 1970, and the year 2106, in which 32 bits of seconds end.
        -START,
        (1_i64 << 32) * SECOND - START,
        i64::MAX,
        i64::MIN,
    ];
    for step in steps {
        let mut world = World::new();
        world.pass(10);
        world.ahead = step;
        let standing = world.pass(1);
        assert!(matches!(standing, Standing::Stepped { .. }), "{step}");
        let standing = world.pass(600);
        assert!(matches!(standing, Standing::Stepped { .. }), "{step}");
        assert_eq!(world.last, START + world.monotonic, "{step}");
        // It comes back: all is as before.
        world.ahead = 0;
        assert_eq!(world.pass(1), Standing::InStep { offset_us: 0 }, "{step}");
        world.pass(10);
        assert_eq!(world.last, START + world.monotonic, "{step}");
    }
}

#[test]
fn d1_a_step_that_is_exactly_at_the_bound_is_none() {
    for (step, stepped) in [
        (STEP_US, false),
        (-STEP_US, false),
        (STEP_US + 1, true),
        (-STEP_US - 1, true),
    ] {
        let mut world = World::new();
        world.ahead = step;
        assert_eq!(matches!(world.check(), Standing::Stepped { .. }), stepped);
    }
}

#[test]
fn d1_confirmed_our_time_jumps_forward_or_falls_back_slowly() {
    let mut world = World::new();
    world.pass(10);
    world.ahead = 3_600 * SECOND;
    let noticed = world.pass(5);
    assert_eq!(world.discipline.confirm(), Ok(noticed));
    assert!(matches!(world.pass(1), Standing::InStep { .. }));
    world.pass(1);
    assert_eq!(world.offset(), 0);

    let back = -200 * SECOND;
    world.ahead += back;
    world.pass(5);
    world.discipline.confirm().unwrap();
    assert!(matches!(world.pass(1), Standing::InStep { .. }));
    let standing = world.pass(100);
    assert!(matches!(standing, Standing::InStep { .. }), "{standing:?}");
    let expected = back + 100 * BACK_PPM;
    assert!(
        (world.offset() - expected).abs() < SECOND,
        "{}",
        world.offset()
    );
    // Another step meanwhile is noticed as any.
    world.ahead -= 3 * SECOND;
    assert!(matches!(world.pass(1), Standing::Stepped { .. }));
    world.ahead += 3 * SECOND;
    // The wall clock is where it was, but nobody falls back any more: it has to be said again.
    assert!(matches!(world.pass(1), Standing::Stepped { .. }));
    world.discipline.confirm().unwrap();
    world.pass(200 * SECOND / BACK_PPM + 100);
    assert_eq!(world.offset(), 0);
}

#[test]
fn d1_what_is_confirmed_is_what_was_seen() {
    let mut world = World::new();
    assert_eq!(world.discipline.confirm(), Err(NotConfirmed::InStep));
    world.pass(2);
    assert_eq!(world.discipline.confirm(), Err(NotConfirmed::InStep));
    world.ahead = -BACK_US_MAX - SECOND;
    world.pass(2);
    assert_eq!(world.discipline.confirm(), Err(NotConfirmed::TooFarBehind));
    assert!(matches!(world.pass(2), Standing::Stepped { .. }));
    // Another step between the word and the next check.
    world.ahead = 60 * SECOND;
    world.pass(2);
    world.discipline.confirm().unwrap();
    world.ahead = 86_400 * SECOND;
    assert!(matches!(world.pass(3), Standing::Stepped { .. }));
    world.discipline.confirm().unwrap();
    assert!(matches!(world.pass(2), Standing::InStep { .. }));
    assert_eq!(world.offset(), 0);
}

/// Checks at any distance, and readings between them.
#[test]
fn d1_our_time_never_runs_backwards_whatever_the_wall_does() {
    let mut seed = 7_u64;
    let mut chance = |below: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(seed >> 33).unwrap() % below
    };
    let mut world = World::new();
    for _ in 0..200_000 {
        world.monotonic += chance(400_000);
        world.read();
        match chance(20) {
            0..6 => drop(world.check()),
            6 => world.ahead += chance(6 * SECOND) - 3 * SECOND,
            7 => drop(world.discipline.confirm()),
            _ => {}
        }
        world.read();
    }
}
