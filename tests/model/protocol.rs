//! The protocol of the lease as a state machine that a model checker walks through in every order.
//!
//! Time is left out: a lock or a lease may expire whenever it likes, Redis may lose everything, and a process may stand
//! still between any two of its steps. So nothing here rests on a clock, a deadline or a time-out.

use stateright::{Model, Property};

/// Which parts of the protocol are there. The real one is [`Design::REAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Design {
    /// The check that a commit must pass.
    pub fence: Fence,
    /// A claim is an update on the condition that the epoch is still the one that was read.
    pub conditional: bool,
    /// The lease is a row of the database, too.
    pub lease_row: bool,
    /// A row per slot, unique.
    pub ledger: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// Nothing.
    Absent,
    /// The epoch in the database, in the same transaction.
    Epoch,
    /// The highest token that was seen so far, with tokens counted by Redis.
    RedisToken,
}

impl Design {
    pub const REAL: Self = Self { fence: Fence::Epoch, conditional: true, lease_row: true, ledger: true };
}

/// A bounded world: so many candidates, slots and attempts to take the lock.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub design: Design,
    pub candidates: usize,
    pub slots: u8,
    pub attempts: u8,
}

/// Where a candidate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Candidate {
    Idle,
    /// Has read the epoch.
    Read {
        epoch: u8,
    },
    /// Has the lock in Redis, with its token.
    Locked {
        epoch: u8,
        token: u8,
    },
    /// Believes that it leads: under `token` (epoch, or Redis's), as the `term`th leader of all.
    Leading {
        token: u8,
        term: u8,
        last: Option<u8>,
    },
    /// Is in the middle of the transaction of a slot.
    Working {
        token: u8,
        term: u8,
        slot: u8,
    },
}

/// Commits for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    slot: u8,
    token: u8,
    term: u8,
    /// The newest leader there was at that moment.
    newest: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    candidates: Vec<Candidate>,
    /// The holder of the lock in Redis.
    lock: Option<usize>,
    /// Redis's counter.
    counter: u8,
    /// The holder of the lease in the database, if it has not expired.
    lease: Option<usize>,
    epoch: u8,
    /// How many have become leader.
    terms: u8,
    attempts: u8,
    slot: u8,
    /// Slots that have a row, as bits.
    ledger: u8,
    highest_token: u8,
    effects: Vec<Effect>,
    /// The newest leader was refused.
    refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    NextSlot,
    LockExpires,
    LeaseExpires,
    RedisLosesData,
    Read(usize),
    TakeLock(usize),
    Claim(usize),
    Renew(usize),
    Release(usize),
    Begin(usize),
    Commit(usize),
}

impl Protocol {
    fn claim(&self, state: &mut State, who: usize) -> Option<()> {
        let Candidate::Locked { epoch, token } = state.candidates[who] else { return None };
        let token = match self.design.fence {
            Fence::Epoch => {
                let passed = self.design.conditional && state.epoch != epoch;
                if passed || (self.design.lease_row && state.lease.is_some()) {
                    if state.lock == Some(who) {
                        state.lock = None;
                    }
                    state.candidates[who] = Candidate::Idle;
                    return Some(());
                }
                state.epoch += 1;
                state.epoch
            }
            Fence::Absent | Fence::RedisToken => token,
        };
        state.lease = self.design.lease_row.then_some(who);
        state.terms += 1;
        state.candidates[who] = Candidate::Leading { token, term: state.terms, last: None };
        Some(())
    }

    fn renew(&self, state: &mut State, who: usize) -> Option<()> {
        let Candidate::Leading { token, .. } = state.candidates[who] else { return None };
        if self.design.lease_row {
            if state.lease != Some(who) || token != state.epoch {
                state.candidates[who] = Candidate::Idle;
            } else if state.lock.is_none() {
                state.lock = Some(who);
            } else {
                return None;
            }
        } else if state.lock == Some(who) {
            return None;
        } else {
            state.candidates[who] = Candidate::Idle;
        }
        Some(())
    }

    fn commit(&self, state: &mut State, who: usize) -> Option<()> {
        let Candidate::Working { token, term, slot } = state.candidates[who] else { return None };
        state.candidates[who] = Candidate::Leading { token, term, last: Some(slot) };
        let fenced = match self.design.fence {
            Fence::Absent => false,
            Fence::Epoch => token != state.epoch,
            Fence::RedisToken => token < state.highest_token,
        };
        if fenced && self.design.fence == Fence::RedisToken && term == state.terms {
            state.refused = true;
        }
        if fenced || (self.design.ledger && state.ledger & (1 << slot) != 0) {
            return Some(());
        }
        state.ledger |= 1 << slot;
        state.highest_token = state.highest_token.max(token);
        state.effects.push(Effect { slot, token, term, newest: state.terms });
        Some(())
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            candidates: vec![Candidate::Idle; self.candidates],
            lock: None,
            counter: 0,
            lease: None,
            epoch: 0,
            terms: 0,
            attempts: 0,
            slot: 0,
            ledger: 0,
            highest_token: 0,
            effects: Vec::new(),
            refused: false,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.slot + 1 < self.slots {
            steps.push(Step::NextSlot);
        }
        if state.lock.is_some() {
            steps.push(Step::LockExpires);
        }
        if state.lease.is_some() {
            steps.push(Step::LeaseExpires);
        }
        if self.design.fence == Fence::RedisToken && (state.counter > 0 || state.lock.is_some()) {
            steps.push(Step::RedisLosesData);
        }
        for (who, candidate) in state.candidates.iter().enumerate() {
            match candidate {
                Candidate::Idle if state.attempts < self.attempts => steps.push(Step::Read(who)),
                Candidate::Read { .. } if state.lock.is_none() && state.attempts < self.attempts => {
                    steps.push(Step::TakeLock(who));
                }
                Candidate::Idle | Candidate::Read { .. } => {}
                Candidate::Locked { .. } => steps.push(Step::Claim(who)),
                Candidate::Leading { last, .. } => {
                    steps.extend([Step::Renew(who), Step::Release(who)]);
                    if last.is_none_or(|last| last < state.slot) {
                        steps.push(Step::Begin(who));
                    }
                }
                Candidate::Working { .. } => steps.push(Step::Commit(who)),
            }
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::NextSlot => state.slot += 1,
            Step::LockExpires => state.lock = None,
            Step::LeaseExpires => state.lease = None,
            Step::RedisLosesData => (state.lock, state.counter) = (None, 0),
            Step::Read(who) => state.candidates[who] = Candidate::Read { epoch: state.epoch },
            Step::TakeLock(who) => {
                let Candidate::Read { epoch } = state.candidates[who] else { return None };
                state.lock = Some(who);
                state.counter += 1;
                state.attempts += 1;
                state.candidates[who] = Candidate::Locked { epoch, token: state.counter };
            }
            Step::Claim(who) => self.claim(&mut state, who)?,
            Step::Renew(who) => self.renew(&mut state, who)?,
            Step::Release(who) => {
                let Candidate::Leading { token, .. } = state.candidates[who] else { return None };
                if state.lease == Some(who) && token == state.epoch {
                    state.lease = None;
                }
                if state.lock == Some(who) {
                    state.lock = None;
                }
                state.candidates[who] = Candidate::Idle;
            }
            Step::Begin(who) => {
                let Candidate::Leading { token, term, .. } = state.candidates[who] else { return None };
                state.candidates[who] = Candidate::Working { token, term, slot: state.slot };
            }
            Step::Commit(who) => self.commit(&mut state, who)?,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, state: &State| {
                let slots = state.effects.iter().map(|effect| 1_u32 << effect.slot);
                slots.fold((0, true), |(seen, once), slot| (seen | slot, once && seen & slot == 0)).1
            }),
            Property::always(CURRENT, |_, state: &State| {
                state.effects.iter().all(|effect| effect.term == effect.newest)
            }),
            Property::always(ORDER, |_, state: &State| {
                state.effects.windows(2).all(|pair| pair[0].token <= pair[1].token)
            }),
            Property::always(DEPOSED, |model: &Self, state: &State| {
                let holder = if model.design.lease_row { state.lease } else { state.lock };
                let Some(holder) = holder else { return true };
                match state.candidates[holder] {
                    Candidate::Leading { token, .. } | Candidate::Working { token, .. } => {
                        model.design.fence != Fence::Epoch || token == state.epoch
                    }
                    _ => true,
                }
            }),
            Property::always(REFUSED, |_, state: &State| !state.refused),
            Property::sometimes(WORKS, |model: &Self, state: &State| {
                let slots: u32 = state.effects.iter().fold(0, |slots, effect| slots | 1 << effect.slot);
                state.terms > 1 && slots.count_ones() == u32::from(model.slots)
            }),
        ]
    }
}

/// I1.
pub const ONCE: &str = "each slot has at most one effect";
/// I3.
pub const CURRENT: &str = "nothing commits under a leader that is not the newest";
/// I2.
pub const ORDER: &str = "epochs never go back in the order of commits";
/// I7.
pub const DEPOSED: &str = "the holder of a live lease is not deposed";
/// The other half of a fence.
pub const REFUSED: &str = "the newest leader is not refused";
/// Or all of the above would hold of a protocol that does nothing.
pub const WORKS: &str = "all slots are run, under more than one leader";
