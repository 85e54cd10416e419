//! The protocol of the lease as a state machine for a model checker.
//!
//! The model has no time: a lock or a lease may expire at any step, Redis may lose its data, and a process may stop
//! between any two of its steps. The properties therefore depend on no clock, deadline or time-out.

use stateright::{Model, Property};

/// The parts of the protocol that a design has. The real design is [`Design::REAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Design {
    /// The check that each commit must pass.
    pub fence: Fence,
    /// True if a claim fails when the epoch has changed since it was read.
    pub conditional: bool,
    /// True if the database has a row of the lease.
    pub lease_row: bool,
    /// True if the database has a unique row per slot.
    pub ledger: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// No check.
    Absent,
    /// The epoch of the database, read in the same transaction.
    Epoch,
    /// The highest committed token, with tokens that Redis counts.
    RedisToken,
}

impl Design {
    pub const REAL: Self = Self { fence: Fence::Epoch, conditional: true, lease_row: true, ledger: true };
}

/// A bounded model, by the number of candidates, slots and attempts to take the lock.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub design: Design,
    pub candidates: usize,
    pub slots: u8,
    pub attempts: u8,
}

/// The state of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Candidate {
    Idle,
    /// Has read the epoch.
    Read {
        epoch: u8,
    },
    /// Holds the lock in Redis, with its token.
    Locked {
        epoch: u8,
        token: u8,
    },
    /// Considers itself the leader, under `token` (an epoch or a token of Redis), as the `term`th leader.
    Leading {
        token: u8,
        term: u8,
        last: Option<u8>,
    },
    /// Has an open transaction of a slot.
    Working {
        token: u8,
        term: u8,
        slot: u8,
    },
}

/// The commit of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    slot: u8,
    token: u8,
    term: u8,
    /// The term of the newest leader at that moment.
    newest: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    candidates: Vec<Candidate>,
    /// The holder of the lock in Redis.
    lock: Option<usize>,
    /// The counter of tokens in Redis.
    counter: u8,
    /// The holder of the lease in the database, if it has not expired.
    lease: Option<usize>,
    epoch: u8,
    /// The number of leaders so far.
    terms: u8,
    attempts: u8,
    slot: u8,
    /// A bit for each slot that has a row.
    ledger: u8,
    highest_token: u8,
    effects: Vec<Effect>,
    /// True if a commit of the newest leader was refused.
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
    fn claim(&self, state: &mut State, id: usize) -> Option<()> {
        let Candidate::Locked { epoch, token } = state.candidates[id] else { return None };
        let token = match self.design.fence {
            Fence::Epoch => {
                let has_changed = self.design.conditional && state.epoch != epoch;
                if has_changed || (self.design.lease_row && state.lease.is_some()) {
                    if state.lock == Some(id) {
                        state.lock = None;
                    }
                    state.candidates[id] = Candidate::Idle;
                    return Some(());
                }
                state.epoch += 1;
                state.epoch
            }
            Fence::Absent | Fence::RedisToken => token,
        };
        state.lease = self.design.lease_row.then_some(id);
        state.terms += 1;
        state.candidates[id] = Candidate::Leading { token, term: state.terms, last: None };
        Some(())
    }

    fn renew(&self, state: &mut State, id: usize) -> Option<()> {
        let Candidate::Leading { token, .. } = state.candidates[id] else { return None };
        if self.design.lease_row {
            if state.lease != Some(id) || token != state.epoch {
                state.candidates[id] = Candidate::Idle;
            } else if state.lock.is_none() {
                state.lock = Some(id);
            } else {
                return None;
            }
        } else if state.lock == Some(id) {
            return None;
        } else {
            state.candidates[id] = Candidate::Idle;
        }
        Some(())
    }

    fn commit(&self, state: &mut State, id: usize) -> Option<()> {
        let Candidate::Working { token, term, slot } = state.candidates[id] else { return None };
        state.candidates[id] = Candidate::Leading { token, term, last: Some(slot) };
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
        for (id, candidate) in state.candidates.iter().enumerate() {
            match candidate {
                Candidate::Idle if state.attempts < self.attempts => steps.push(Step::Read(id)),
                Candidate::Read { .. } if state.lock.is_none() && state.attempts < self.attempts => {
                    steps.push(Step::TakeLock(id));
                }
                Candidate::Idle | Candidate::Read { .. } => {}
                Candidate::Locked { .. } => steps.push(Step::Claim(id)),
                Candidate::Leading { last, .. } => {
                    steps.extend([Step::Renew(id), Step::Release(id)]);
                    if last.is_none_or(|last| last < state.slot) {
                        steps.push(Step::Begin(id));
                    }
                }
                Candidate::Working { .. } => steps.push(Step::Commit(id)),
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
            Step::Read(id) => state.candidates[id] = Candidate::Read { epoch: state.epoch },
            Step::TakeLock(id) => {
                let Candidate::Read { epoch } = state.candidates[id] else { return None };
                state.lock = Some(id);
                state.counter += 1;
                state.attempts += 1;
                state.candidates[id] = Candidate::Locked { epoch, token: state.counter };
            }
            Step::Claim(id) => self.claim(&mut state, id)?,
            Step::Renew(id) => self.renew(&mut state, id)?,
            Step::Release(id) => {
                let Candidate::Leading { token, .. } = state.candidates[id] else { return None };
                if state.lease == Some(id) && token == state.epoch {
                    state.lease = None;
                }
                if state.lock == Some(id) {
                    state.lock = None;
                }
                state.candidates[id] = Candidate::Idle;
            }
            Step::Begin(id) => {
                let Candidate::Leading { token, term, .. } = state.candidates[id] else { return None };
                state.candidates[id] = Candidate::Working { token, term, slot: state.slot };
            }
            Step::Commit(id) => self.commit(&mut state, id)?,
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

/// Invariant I1.
pub const ONCE: &str = "each slot has at most one effect";
/// Invariant I3.
pub const CURRENT: &str = "no leader but the newest commits";
/// Invariant I2.
pub const ORDER: &str = "epochs never decrease in the order of commits";
/// Invariant I7.
pub const DEPOSED: &str = "the holder of a live lease is not deposed";
/// A fence must not refuse the current leader.
pub const REFUSED: &str = "the newest leader is not refused";
/// Excludes a protocol that does nothing, for which all other properties hold.
pub const WORKS: &str = "all slots run, under more than one leader";
