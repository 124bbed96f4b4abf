//! Whose turn it is: the processes' threads, and how their calls wait in them.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tollgate::stream::Failure;

use super::{Answer, Being, Ended, Event, Machine, Process, Program, Signals, World};
use crate::broker::{Request, Response};
use crate::disk::Disks;
use crate::faults::{Fault, Step};
use crate::library::Library;
use crate::log::SimLog;
use crate::time::Micros;

/// The world and the ways to wait for one's turn in it.
pub struct Shared {
    pub(super) world: Mutex<World>,
    pub(super) turns: Vec<Condvar>,
    pub(super) done: Condvar,
}

/// The number that stands for nobody: the baton is with whoever waits for the end.
pub(super) const NOBODY: usize = usize::MAX;

impl Shared {
    /// The world; only who has the baton, or reads what is its own, asks for it.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays on until it is this process's turn, or the run is over.
    fn yield_turn<'w>(&'w self, mut world: MutexGuard<'w, World>, process: usize) -> MutexGuard<'w, World> {
        let next = world.advance();
        if next == Some(process) {
            return world;
        }
        world.baton = next.unwrap_or(NOBODY);
        match next {
            Some(next) => self.turns[next].notify_one(),
            None => self.done.notify_one(),
        }
        self.await_baton(world, process)
    }

    fn await_baton<'w>(&'w self, mut world: MutexGuard<'w, World>, process: usize) -> MutexGuard<'w, World> {
        while world.baton != process {
            world = self.turns[process].wait(world).unwrap_or_else(PoisonError::into_inner);
        }
        world
    }

    /// One process, from its first start to the end of the run.
    pub(super) fn live(self: &Arc<Self>, process: usize, program: &Program) {
        let mut world = self.await_baton(self.lock(), process);
        while !world.over {
            let life = world.processes[process].life;
            drop(world);
            let handle = Handle { shared: Arc::clone(self), process, life };
            let machine = Machine {
                log: SimLog::new(handle.clone()),
                disks: Disks::new(handle.clone()),
                signals: Signals(handle),
            };
            let result = catch_unwind(AssertUnwindSafe(|| program(machine)));
            world = self.lock();
            if world.over {
                // It may be this process that ended the run, while it had the baton.
                world.baton = NOBODY;
                self.done.notify_one();
                return;
            }
            match result {
                Ok(Ended::Stopped) => world.fell(process, false),
                Ok(Ended::Halted(_)) if world.is_fenced(process) => world.fell(process, false),
                Ok(Ended::Halted(why)) => world.fail(format!("process {process} halted: {why}")),
                Err(payload) if payload.is::<Gone>() => world.fell(process, true),
                Err(payload) => world.fail(format!("process {process} panicked: {}", message(&*payload))),
            }
            world = self.yield_turn(world, process);
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("something")
}

/// What a crash unwinds with.
struct Gone;

/// One life of a process, as its log and its disks know it.
#[derive(Clone)]
pub struct Handle {
    pub shared: Arc<Shared>,
    pub process: usize,
    pub life: u32,
}

impl Handle {
    /// A call of the process: may crash or stop it before, while and after it does `what`.
    pub fn call<T>(&self, step: Step, what: impl FnOnce(&mut Turn<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut turn = Turn { world: Some(self.shared.lock()), shared: &self.shared, process: self.process };
        let gone = turn.over || turn.me().life != self.life || turn.me().being == Being::Doomed;
        if gone && thread::panicking() {
            return Err(Failure::Halt("the process is gone".to_owned()));
        }
        if gone {
            turn.vanish();
        }
        turn.begin(step);
        let result = what(&mut turn);
        turn.tell(Some(self.process), || {
            format!("{step:?}{}", result.as_ref().err().map_or_else(String::new, |failure| format!(": {failure:?}")))
        });
        if turn.strikes(|faults| if faults.aim_at(step) { faults.crash / 3 } else { 0 }) {
            turn.hit(Fault::CrashAfter, Some(self.process));
            turn.vanish();
        }
        if result.is_ok() {
            turn.me().last = step;
        }
        result
    }
}

/// The world, while a call of the process that has the baton is done.
pub struct Turn<'w> {
    world: Option<MutexGuard<'w, World>>,
    shared: &'w Shared,
    pub process: usize,
}

impl Deref for Turn<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world.as_ref().expect("a turn has the world")
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut World {
        self.world.as_mut().expect("a turn has the world")
    }
}

impl Turn<'_> {
    /// The name of the process, in the group and as transactional id.
    pub fn identity(&self) -> usize {
        self.processes[self.process].identity
    }

    /// The process whose turn it is.
    pub fn me(&mut self) -> &mut Process {
        let process = self.process;
        &mut self.processes[process]
    }

    /// Its Kafka client.
    pub fn library(&mut self) -> &mut Library {
        &mut self.me().library
    }

    fn begin(&mut self, step: Step) {
        let process = self.process;
        (self.me().step, self.me().fresh) = (step, true);
        self.calls_at_once += 1;
        if self.calls_at_once > 100_000 {
            self.fail(format!("process {process} spins: {step:?} again and again, and no time passes"));
            self.vanish();
        }
        if !self.setup.faults.aim_at(step) {
            return;
        }
        if self.strikes(|faults| faults.crash / 3) {
            self.hit(Fault::CrashBefore, Some(process));
            self.vanish();
        }
        let life = self.me().life;
        let soon = self.setup.faults.latency * 4;
        if self.strikes(|faults| faults.crash / 3) {
            let span = self.random.below(soon);
            self.after(span, Event::Crash { process, life });
        }
        if self.strikes(|faults| faults.stop / 2) {
            let span = self.random.below(soon);
            self.after(span, Event::Stop { process, life });
        }
        if self.strikes(|faults| faults.stop / 2) {
            self.stop(process);
            let until = self.me().stopped_until;
            self.wait_until(until);
        }
    }

    /// The process is gone: nothing it has in memory is left.
    fn vanish(&mut self) -> ! {
        self.me().being = Being::Doomed;
        // The world must be free before the stack unwinds.
        self.world = None;
        resume_unwind(Box::new(Gone));
    }

    /// Lets the world go on until something wakes the process.
    fn wait(&mut self) {
        self.me().fresh = false;
        let world = self.world.take().expect("a turn has the world");
        self.world = Some(self.shared.yield_turn(world, self.process));
        if self.over || self.me().being == Being::Doomed {
            self.vanish();
        }
    }

    /// Lets the world go on until a time, or until something wakes the process before.
    pub fn wait_until(&mut self, until: Micros) {
        let process = self.process;
        self.me().token += 1;
        let token = self.me().token;
        self.push(until, Event::Wake { process, token });
        self.wait();
    }

    /// Lets the world go on for a while.
    pub fn sleep(&mut self, span: Micros) {
        let until = self.now + span;
        self.wait_until(until);
    }

    /// Sends requests at the same time, and waits for all answers. Nothing stands for one that did not come.
    pub fn exchange(&mut self, requests: impl IntoIterator<Item = Request>) -> Vec<Option<Response>> {
        let process = self.process;
        self.me().calls.clear();
        self.me().token += 1;
        for request in requests {
            self.send(process, request);
        }
        if !self.me().calls.is_empty() {
            self.wait();
        }
        let calls = std::mem::take(&mut self.me().calls);
        let came = |answer| if let Answer::Came(response) = answer { Some(response) } else { None };
        calls.into_values().map(came).collect()
    }
}
