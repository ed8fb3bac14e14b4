//! Short conversations, as steps of the target.

const HELLO: [u8; 5] = [1, 0, 0, 0, 0];
const ROUND: u8 = 18;

/// One conversation for each thing that clients do.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let hello = |wire: u8, user: u8| vec![1, wire, 0, user, 0];
    let publish = |wire: u8, room: u8, how: u8| vec![1, wire, 1, room, 0, how];
    let again = |wire: u8, room: u8| vec![1, wire, 1, room, 128, 1];
    let subscribe = |wire: u8, room: u8, how: u8| vec![1, wire, 4, room, how];
    let fetch = |wire: u8, room: u8, how: u8| vec![1, wire, 6, room, how, 10];
    let second = vec![0, 1];
    let publishes = |count: usize, how: u8| publish(0, 0, how).repeat(count);
    let conversations: Vec<(&str, Vec<Vec<u8>>)> = vec![
        (
            "publish",
            vec![
                HELLO.to_vec(),
                vec![ROUND],
                publish(0, 0, 2),
                vec![ROUND],
                again(0, 0),
                vec![ROUND],
            ],
        ),
        (
            "pipelined",
            vec![
                HELLO.to_vec(),
                subscribe(0, 0, 0),
                fetch(0, 0, 0),
                vec![1, 0, 7, 0],
                vec![ROUND],
            ],
        ),
        (
            "fan-out",
            vec![
                HELLO.to_vec(),
                second.clone(),
                hello(1, 1),
                vec![ROUND],
                subscribe(1, 0, 0),
                vec![ROUND, ROUND],
                publishes(5, 3),
                vec![ROUND, ROUND, ROUND],
            ],
        ),
        (
            "history",
            vec![
                HELLO.to_vec(),
                vec![ROUND],
                publishes(12, 5),
                vec![ROUND, ROUND],
                fetch(0, 0, 0),
                fetch(0, 16, 3),
                fetch(0, 0, 18),
                vec![ROUND, ROUND],
                subscribe(0, 0, 9),
                vec![ROUND, ROUND],
                vec![1, 0, 5, 16],
                vec![ROUND],
            ],
        ),
        (
            "redact",
            vec![
                HELLO.to_vec(),
                vec![ROUND],
                publishes(3, 4),
                vec![ROUND, ROUND],
                // An edit of record 1, redacts of records 1 and 2, a reaction to what is erased; then a reader, and once more after a death.
                vec![1, 0, 1, 0, 1, 16],
                vec![1, 0, 1, 0, 33, 16],
                vec![1, 0, 1, 0, 34, 16],
                vec![ROUND, ROUND],
                vec![1, 0, 1, 0, 97, 16],
                fetch(0, 0, 0),
                subscribe(0, 0, 41),
                vec![ROUND, ROUND],
                vec![17, 1],
                hello(1, 0),
                vec![ROUND],
                subscribe(1, 0, 3),
                fetch(1, 0, 0),
                vec![ROUND, ROUND],
            ],
        ),
        (
            "restart",
            vec![
                HELLO.to_vec(),
                vec![ROUND],
                publishes(8, 4),
                vec![ROUND, ROUND],
                vec![17, 1],
                hello(1, 0),
                vec![ROUND],
                vec![1, 1, 1, 0, 0, 3],
                subscribe(1, 0, 3),
                vec![ROUND, ROUND],
            ],
        ),
        (
            "resume",
            vec![
                HELLO.to_vec(),
                vec![ROUND],
                subscribe(0, 0, 0),
                publishes(4, 3),
                vec![ROUND, ROUND],
                vec![16, 0],
                second,
                vec![1, 1, 0, 0, 2],
                vec![ROUND],
                publish(1, 0, 3),
                subscribe(1, 0, 2),
                vec![ROUND, ROUND],
            ],
        ),
        (
            "slow",
            vec![
                HELLO.to_vec(),
                vec![9, 0, 255],
                vec![10, 0],
                publishes(6, 6),
                vec![9, 0, 200, 9, 0, 255],
                vec![10, 0, 10, 1],
                vec![14, 0, 1, 14, 1, 1],
                vec![11, 1, 11, 0],
                vec![10, 1, 10, 0],
                vec![13, 0, 3, 13, 0, 9],
                vec![12, 0, 15, 90],
            ],
        ),
        (
            "garbage",
            vec![
                HELLO.to_vec(),
                vec![ROUND],
                vec![7, 0, 20, 4, 0, 0, 0, 99],
                vec![8, 0, 3, 255],
                vec![ROUND],
            ],
        ),
    ];
    let mut seeds = Vec::new();
    for (name, parts) in conversations {
        for limits in 0..4_u8 {
            let input = [&[limits], parts.concat().as_slice()].concat();
            seeds.push((format!("{name}-{limits}"), input));
        }
    }
    seeds
}
