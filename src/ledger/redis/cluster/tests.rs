use super::*;

fn asked() -> Spot {
    ("10.0.0.9".to_owned(), 6_379)
}

fn view(told: &str) -> View {
    View::read(told, false, &asked()).unwrap()
}

const A: &str = "aa 10.0.0.1:7001@17001,a.example myself,master - 0 0 3 connected 0-8191 [5->-bb] [9000-<-cc] [9001->-bb]\n\
                 bb 10.0.0.2:7002@17002 master - 0 1 2 connected 8192-16383\n\
                 cc 10.0.0.3:7003@17003 master,fail - 0 1 1 disconnected\n\
                 dd 10.0.0.4:7004@17004 slave aa 0 1 3 connected\n\n";

#[test]
fn a_view_says_who_has_what_and_what_is_on_its_way() {
    let view_of_a = view(A);
    let own = view_of_a.own().unwrap();
    assert_eq!((&*own.id, own.epoch), ("aa", 3));
    assert_eq!(own.slots, [(0, 8_191)]);
    assert_eq!(
        own.open,
        ["bb", "cc"],
        "what it has not got it does not give"
    );
    let map = Map::of(&[view_of_a]);
    let ids: Vec<&str> = map.primaries.iter().map(|it| &*it.id).collect();
    let told = "a replica is none, nor is one that is gone and has nothing";
    assert_eq!(ids, ["aa", "bb"], "{told}");
    let others: Vec<&str> = map.others.iter().map(|it| &*it.id).collect();
    assert_eq!(others, ["cc", "dd"], "who may still be armed");
    assert_eq!(map.primaries[0].spot, ("10.0.0.1".to_owned(), 7_001));
    assert_eq!([map.owner_of(0), map.owner_of(9_000)], [Some(0), Some(1)]);
    assert_eq!(map.missing(), None);
    for wrong in [
        "",
        "aa",
        "aa x myself,master - 0 0 1 connected",
        "aa h:1@2 master - 0 0 1 up",
        "aa h:1@2 myself,master - 0 0 1 connected [5-x-bb]",
    ] {
        assert!(View::read(wrong, false, &asked()).is_none(), "{wrong}");
    }
}

#[test]
fn a_certificate_is_for_the_name_that_a_server_announces() {
    let spot = |place, is_tls| spots_of(place, is_tls, &asked()).unwrap().0;
    let named = "10.0.0.1:7001@17001,a.example";
    assert_eq!(spot(named, true), ("a.example".to_owned(), 7_001));
    assert_eq!(spot(named, false), ("10.0.0.1".to_owned(), 7_001));
    assert_eq!(spot(":7001@17001", true), ("10.0.0.9".to_owned(), 7_001));
    // A redirection may name either.
    let also = |is_tls| spots_of(named, is_tls, &asked()).unwrap().1;
    assert_eq!(also(true), Some(("10.0.0.1".to_owned(), 7_001)));
    assert_eq!(also(false), Some(("a.example".to_owned(), 7_001)));
    let six = "::1:7001@17001,,shard-id=1";
    assert_eq!(spot(six, true), ("::1".to_owned(), 7_001));
}

#[test]
fn whoever_claims_a_slot_with_the_greatest_epoch_has_it() {
    let newer = "bb 10.0.0.2:7002@17002 myself,master - 0 0 4 connected 8000-16383\n\
                 aa 10.0.0.1:7001@17001 master,fail - 0 0 3 connected 0-7999\n";
    let older = view(A);
    for views in [[older.clone(), view(newer)], [view(newer), older.clone()]] {
        let map = Map::of(&views);
        assert_eq!(map.primaries[1].id, "bb");
        let owners = [map.owner_of(7_999), map.owner_of(8_000)];
        assert_eq!(owners, [Some(0), Some(1)]);
    }
    let owns = |of: &[View]| of.iter().map(|it| it.own().unwrap()).collect::<Vec<_>>();
    // One of them has not heard yet what the other was given.
    assert!(!is_all(&owns(&[older.clone(), view(newer)])));
    let still = "bb 10.0.0.2:7002@17002 myself,master - 0 0 2 connected 8192-16383\n";
    let both = owns(&[older.clone(), view(still)]);
    assert!(!is_all(&both), "whose slot it takes is not among them");
    let third = "cc 10.0.0.3:7003@17003 myself,master - 0 0 1 connected\n";
    let all = owns(&[older, view(still), view(third)]);
    assert!(is_all(&all) && !is_still(&all));
    assert!(!is_all(&all[1..]));
}

#[test]
fn what_a_server_says_that_was_given_to_another_cluster_does_not_count() {
    let of = |own: &str, others: &[&str]| {
        let line = |id: &str, flags| format!("{id} 10.0.0.1:1@2 {flags} - 0 0 9 connected\n");
        let lines = others.iter().map(|id| line(id, "master"));
        view(&(line(own, "myself,master") + &lines.collect::<String>()))
    };
    let having = ["aa", "bb", "cc"].map(str::to_owned).into();
    let ids = |views: Vec<View>| {
        let of_one = of_one_cluster(views, &having);
        let ids: Vec<String> = of_one.iter().map(|it| it.id().to_owned()).collect();
        ids.join(" ")
    };
    let (a, b) = (of("aa", &["bb", "cc"]), of("bb", &["aa", "cc"]));
    let (given, stranger) = (of("cc", &["xx"]), of("xx", &["cc"]));
    assert_eq!(
        ids(vec![a.clone(), b.clone(), of("cc", &["aa", "bb"])]),
        "aa bb cc"
    );
    assert_eq!(ids(vec![given.clone(), stranger, b.clone(), a]), "aa bb");
    assert_eq!(ids(vec![given]), "", "alone it is not believed either");
    assert_eq!(
        ids(vec![b, of("dd", &["bb"])]),
        "bb",
        "not everybody knows it yet"
    );
    assert!(of_one_cluster(Vec::new(), &having).is_empty());
}

#[test]
fn a_tag_has_the_slot_that_servers_compute() {
    // As `CLUSTER KEYSLOT` answers.
    assert_eq!(slot_of("123456789"), 12_739);
    assert_eq!(slot_of("foo"), 12_182);
    assert_eq!(slot_of(""), 0);
}

#[test]
fn an_address_names_servers_and_what_is_none_is_not_repeated() {
    let at = |address: &str| Cluster::at(address, None);
    let cluster = at("redis+cluster://me:p%40ss@a:1,b,[::1]:3/");
    let cluster = cluster.unwrap().unwrap();
    let seeds = cluster.seeds.iter().map(|(host, port)| (&**host, *port));
    let seeds: Vec<(&str, u16)> = seeds.collect();
    assert_eq!(seeds, [("a", 1), ("b", PORT), ("::1", 3)]);
    assert_eq!(cluster.access.user.password(), Some("p@ss"));
    assert_eq!(cluster.to_string(), "a:1, b:6379, ::1:3 (a cluster)");
    assert!(at("rediss+cluster://a").unwrap().unwrap().access.is_tls);
    assert!(at("redis://a").is_none());
    for wrong in ["", ",", "a:1,", "a:port", "a/0", "a?db=1", "a#x"] {
        let address = format!("redis+cluster://:hunter2@{wrong}");
        let error = at(&address).unwrap().err();
        let error = error.unwrap_or_else(|| panic!("{wrong}"));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
