//! Short conversations with a broker that mostly answers rightly, as steps of the target.

/// Dialled, greeted.
const OPEN: [u8; 5] = [4, 1, 10, 0, 0x2C];

/// One conversation for each thing that an application does; each way of greeting is one more.
pub(super) fn seeds() -> Vec<(String, Vec<u8>)> {
    let says = |what: u8, how: u8| vec![10, what, how];
    let wants = |what: u8, how: u8| vec![0, what, how];
    let waits = |ms: u8| vec![6, ms];
    let conversations: Vec<(&str, Vec<Vec<u8>>)> = vec![
        (
            "publish",
            vec![
                OPEN.to_vec(),
                wants(0, 2),
                wants(0, 3),
                says(1, 0x10),
                wants(7, 0),
                says(1, 0x90),
            ],
        ),
        (
            "follow",
            vec![
                wants(3, 0),
                OPEN.to_vec(),
                says(3, 0),
                says(5, 6),
                wants(5, 0),
                says(8, 2),
                says(6, 4),
                wants(6, 0),
                says(12, 0),
            ],
        ),
        (
            "no room yet",
            vec![
                OPEN.to_vec(),
                wants(3, 1),
                says(3, 0xFE),
                says(3, 8),
                says(5, 7),
            ],
        ),
        (
            "history",
            vec![
                OPEN.to_vec(),
                wants(4, 0x2A),
                says(9, 0x18),
                says(9, 0x3A),
                wants(4, 0),
                says(11, 0),
            ],
        ),
        (
            "come back",
            vec![
                OPEN.to_vec(),
                wants(3, 4),
                says(3, 8),
                says(5, 2),
                wants(0, 2),
                vec![5, 255, 4, 1],
                waits(60),
                OPEN.to_vec(),
                says(3, 0x10),
                says(5, 2),
                says(1, 0),
            ],
        ),
        (
            "moved",
            vec![
                OPEN.to_vec(),
                wants(0, 0),
                says(13, 5),
                waits(40),
                OPEN.to_vec(),
                says(2, 0x20),
                says(13, 2),
            ],
        ),
        (
            "silence",
            vec![
                OPEN.to_vec(),
                wants(0, 0),
                waits(150),
                waits(150),
                waits(255),
            ],
        ),
        (
            "damage",
            vec![
                OPEN.to_vec(),
                wants(3, 2),
                says(3, 8),
                vec![42, 5, 2, 8, 30, 4, 9, 255],
                vec![7, 20, 1, 0, 0, 0, 99],
                vec![9, 255],
            ],
        ),
    ];
    let mut seeds = Vec::new();
    for (name, parts) in conversations {
        for options in 0..4_u8 {
            let input = [&[options], parts.concat().as_slice()].concat();
            seeds.push((format!("{name}-{options}").replace(' ', "-"), input));
        }
    }
    seeds
}
