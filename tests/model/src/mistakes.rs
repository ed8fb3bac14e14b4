/// A mistake in a production file, which its model must find.
#[derive(Clone, Copy, Debug)]
pub struct Mistake {
    /// A module's name.
    pub name: &'static str,
    /// The module that it is in.
    pub file: &'static str,
    /// The model that finds it.
    pub model: &'static str,
    /// What stands in the file, once.
    pub from: &'static str,
    /// What stands there instead.
    pub to: &'static str,
}

/// Each one would lose a wake, a batch, or a number.
pub const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "sender_does_not_fence",
        file: "wake",
        model: "sleeping",
        from: "        fence(Ordering::SeqCst);\n        if self.sleeping.load",
        to: "        if self.sleeping.load",
    },
    Mistake {
        name: "sleeper_does_not_fence",
        file: "wake",
        model: "sleeping",
        from: "        fence(Ordering::SeqCst);\n        let may",
        to: "        let may",
    },
    Mistake {
        name: "sleeper_looks_before_it_says_so",
        file: "wake",
        model: "sleeping",
        from: "        self.sleeping.store(true, Ordering::Relaxed);\n        fence(Ordering::SeqCst);\n        let may = is_idle();",
        to: "        let may = is_idle();\n        self.sleeping.store(true, Ordering::Relaxed);\n        fence(Ordering::SeqCst);",
    },
    Mistake {
        name: "several_wake",
        file: "wake",
        model: "sleeping",
        from: "&& self.sleeping.swap(false, Ordering::AcqRel)",
        to: "",
    },
    Mistake {
        name: "lane_is_not_tried_again",
        file: "lanes",
        model: "lanes",
        from: "if let Err(refused) = lane.sender.try_send(message) {",
        to: "if let Err(refused) = Err::<(), _>(TrySendError::Full(message)) {",
    },
    Mistake {
        name: "lane_sender_does_not_fence",
        file: "lanes",
        model: "lanes",
        from: "                fence(Ordering::SeqCst);\n                if let Err(refused)",
        to: "                if let Err(refused)",
    },
    Mistake {
        name: "lane_receiver_does_not_fence",
        file: "lanes",
        model: "lanes",
        from: "                fence(Ordering::SeqCst);\n                if lane.is_awaited",
        to: "                if lane.is_awaited",
    },
    Mistake {
        name: "lane_receiver_leaves_the_flag",
        file: "lanes",
        model: "lanes",
        from: "lane.is_awaited.swap(false, Ordering::AcqRel)",
        to: "lane.is_awaited.load(Ordering::Acquire)",
    },
    Mistake {
        name: "place_comes_back_behind_the_wake",
        file: "places",
        model: "places",
        from: "        let before = self.places.taken.fetch_sub(1, Ordering::Relaxed);",
        to: "        self.places.acceptor.wake();\n        let before = self.places.taken.fetch_sub(1, Ordering::Relaxed);\n        return;",
    },
    Mistake {
        name: "channel_is_ready_before_its_batch",
        file: "channel",
        model: "channels",
        from: "        channel.push(batch)?;\n        if channel.ready.swap(true, Ordering::SeqCst) {\n            return Ok(Offered::Quiet);\n        }\n        self.queue_of(channel.home).push(Arc::clone(channel));\n",
        to: "        let was_ready = channel.ready.swap(true, Ordering::SeqCst);\n        if !was_ready {\n            self.queue_of(channel.home).push(Arc::clone(channel));\n        }\n        channel.push(batch)?;\n        if was_ready {\n            return Ok(Offered::Quiet);\n        }\n",
    },
    Mistake {
        name: "channel_rests_unlooked",
        file: "channel",
        model: "channels",
        from: "if !channel.queue.is_empty() && !channel.ready.swap(true, Ordering::SeqCst) {",
        to: "if false {",
    },
    Mistake {
        name: "channel_rests_after_the_look",
        file: "channel",
        model: "channels",
        from: "        channel.ready.swap(false, Ordering::SeqCst);\n        if !channel.queue.is_empty() && !channel.ready.swap(true, Ordering::SeqCst) {",
        to: "        let is_left = !channel.queue.is_empty();\n        channel.ready.swap(false, Ordering::SeqCst);\n        if is_left && !channel.ready.swap(true, Ordering::SeqCst) {",
    },
    Mistake {
        name: "channel_rests_by_a_store",
        file: "channel",
        model: "channels",
        from: "        channel.ready.swap(false, Ordering::SeqCst);",
        to: "        channel.ready.store(false, Ordering::Release);",
    },
    Mistake {
        name: "channel_takes_one_too_many",
        file: "channel",
        model: "channels",
        from: "if self.taken.fetch_add(1, Ordering::SeqCst) >= CHANNEL_PLACES {",
        to: "if self.taken.fetch_add(1, Ordering::SeqCst) > CHANNEL_PLACES {",
    },
    Mistake {
        name: "claims_repeat",
        file: "identity",
        model: "identities",
        from: "Claim(self.claims.fetch_add(1, Ordering::SeqCst) + 1)",
        to: "Claim({ let last = self.claims.load(Ordering::SeqCst); self.claims.store(last + 1, Ordering::SeqCst); last + 1 })",
    },
    Mistake {
        name: "producers_repeat",
        file: "identity",
        model: "identities",
        from: "            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)))\n            .unwrap_or_else(|last| last);",
        to: "            .load(Ordering::SeqCst);\n        self.born.store(next(last), Ordering::SeqCst);",
    },
    Mistake {
        name: "version_rises_before_the_leader",
        file: "leading",
        model: "leading",
        from: "        self.place(partition).store(leader, Ordering::SeqCst);\n        self.version.fetch_add(1, Ordering::SeqCst);",
        to: "        self.version.fetch_add(1, Ordering::SeqCst);\n        self.place(partition).store(leader, Ordering::SeqCst);",
    },
    Mistake {
        name: "version_publishes_nothing",
        file: "leading",
        model: "leading",
        from: "        self.version.fetch_add(1, Ordering::SeqCst);",
        to: "        self.version.fetch_add(1, Ordering::Relaxed);",
    },
];
