//! One session, several connections: the one that was accepted last stays, whatever the order in which the HELLOs come.

use antiphon_protocol::{Code, GoawayClass, ServerFrame};

use crate::support::{Broker, Client, Frame};

fn is_replaced(frame: &Frame) -> bool {
    let ServerFrame::Goaway(goaway) = frame.decode() else {
        return false;
    };
    (goaway.code, goaway.class) == (Code::REPLACED, GoawayClass::Terminal)
}

#[test]
fn a_hello_that_comes_late_does_not_end_the_connection_that_was_accepted_after_it() {
    // Without and with a bystander in between, so that the two meet on different cores and on the same one.
    for bystanders in 0..2 {
        let broker = Broker::start();
        let first = broker.client("ann");
        let producer = Some(first.producer);
        let mut kept_back = Client::connect(broker.address());
        let bystanders: Vec<Client> = (0..bystanders).map(|_| broker.client("bob")).collect();
        let mut newest = Client::connect(broker.address());
        newest.hello("ann", producer);
        assert!(matches!(
            newest.expect("WELCOME").decode(),
            ServerFrame::Welcome(_)
        ));
        kept_back.hello("ann", producer);
        let frames = kept_back.until_end();
        assert!(frames.last().is_some_and(is_replaced), "{frames:?}");
        newest.producer = first.producer;
        assert_eq!(newest.publish_acked("lobby", 1, b"still here"), 1);
        drop((first, bystanders, newest));
        broker.stop();
    }
}
