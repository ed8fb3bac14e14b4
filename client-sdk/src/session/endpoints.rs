//! Where to connect: the application's addresses in turn, and first those that a broker sent us to.

use std::collections::VecDeque;

use crate::limits::REDIRECTS;

/// All addresses, and the one at hand.
#[derive(Debug)]
pub(crate) struct Endpoints {
    addresses: Vec<String>,
    place: usize,
    redirects: VecDeque<String>,
}

impl Endpoints {
    pub(crate) fn new(addresses: Vec<String>) -> Endpoints {
        Endpoints {
            addresses,
            place: 0,
            redirects: VecDeque::new(),
        }
    }

    /// The address to try now.
    pub(crate) fn current(&self) -> &str {
        self.redirects
            .front()
            .or(self.addresses.get(self.place))
            .map_or("", String::as_str)
    }

    /// The address at hand is no good; true: the round is not over, another one can be tried at once.
    pub(crate) fn advance(&mut self) -> bool {
        if self.redirects.pop_front().is_some() {
            return true;
        }
        self.place += 1;
        if self.place < self.addresses.len() {
            return true;
        }
        self.place = 0;
        false
    }

    /// A broker sent us elsewhere: a comma separated list, or just "not here".
    pub(crate) fn redirect(&mut self, list: Option<&str>) {
        let list = list.unwrap_or_default();
        let named = list
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty());
        let named: VecDeque<String> = named.take(REDIRECTS).map(str::to_owned).collect();
        if named.is_empty() {
            self.advance();
        } else {
            self.redirects = named;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_redirects_come_first() {
        let mut endpoints = Endpoints::new(vec!["a:1".into(), "b:1".into()]);
        assert_eq!(endpoints.current(), "a:1");
        assert!(endpoints.advance());
        assert_eq!(endpoints.current(), "b:1");
        endpoints.redirect(Some("c:1, d:1,"));
        assert_eq!(endpoints.current(), "c:1");
        assert!(endpoints.advance());
        assert_eq!(endpoints.current(), "d:1");
        assert!(endpoints.advance());
        assert_eq!(endpoints.current(), "b:1");
        assert!(!endpoints.advance());
        assert_eq!(endpoints.current(), "a:1");
        endpoints.redirect(None);
        assert_eq!(endpoints.current(), "b:1");
    }
}
