//! A broker with nothing to do does nothing, whoever is connected.

use antiphon_protocol::Start;

use crate::child::BrokerProcess;
use crate::support::Client;

#[test]
fn idle_connections_and_a_reader_that_never_reads_cost_no_cpu() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = BrokerProcess::start(directory.path());
    let mut writer = Client::welcomed(broker.address(), "ann");
    let mut idle: Vec<Client> = (0..50)
        .map(|number| Client::welcomed(broker.address(), &format!("u{number}")))
        .collect();
    idle.iter_mut().for_each(|client| {
        client.subscribe("quiet", Start::Live);
    });
    let mut stuck = Client::welcomed(broker.address(), "stuck");
    stuck.subscribe("lobby", Start::Live);
    // 12 MiB: more than the kernel holds for it. It has output pending from now on and never takes any.
    for number in 1..=60 {
        writer.publish_acked("lobby", number, &[1; 200 * 1024]);
    }
    let used = broker.percent_used();
    assert!(used <= 5, "{used} % of a CPU for nothing");
    writer.round_trip();
}
