//! What the system says of a process: its children, its open files, its memory (Linux, `/proc`).

use std::path::PathBuf;
use std::time::Duration;

/// A process by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process(u32);

impl Process {
    /// That of this number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Those that it started and that still run, or were not waited for.
    #[must_use]
    pub fn children(self) -> Vec<Self> {
        let tasks = std::fs::read_dir(self.file("task")).into_iter().flatten().flatten();
        let lists =
            tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let numbers = lists.flat_map(|list| {
            list.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<u32>>()
        });
        numbers.map(Self).collect()
    }

    /// How many files, sockets and pipes it has open.
    #[must_use]
    pub fn open_files(self) -> usize {
        std::fs::read_dir(self.file("fd")).expect("a process that runs").count()
    }

    /// How much of its memory is resident, in KiB: now and at most.
    #[must_use]
    pub fn resident_kib(self) -> (u64, u64) {
        let status = std::fs::read_to_string(self.file("status")).expect("a process that runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|number| number.parse().ok()).expect("a number of KiB")
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    /// What it has spent on cores so far, to a hundredth of a second, with the children that it waited for.
    #[must_use]
    pub fn cpu_time(self) -> Duration {
        let stat = std::fs::read_to_string(self.file("stat")).expect("a process that runs");
        // Its name, in parentheses, may have anything in it. Of the fields after it, 12 to 15 are times.
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let times = fields.split(' ').skip(11).take(4).map(|ticks| ticks.parse().unwrap_or(0));
        Duration::from_millis(10 * times.sum::<u64>())
    }

    /// Ends it at once.
    pub fn kill(self) {
        let number = self.0.to_string();
        let status = std::process::Command::new("kill").args(["-9", &number]).status();
        assert!(status.expect("`kill`").success(), "no process {number}");
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }
}
