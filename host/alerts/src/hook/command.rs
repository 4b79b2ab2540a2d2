//! A program that is told.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::HookError;

/// Inherited from the gate: what it has besides may be secret.
const INHERITED: [&str; 6] = ["HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER"];

/// A program that is started for each alert, one at a time, and reads it from its standard input: one JSON object. What
/// it prints is thrown away.
#[derive(Clone, Debug)]
pub struct CommandHook {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take. Then it is killed, with what it started in its process group.
    pub timeout: Duration,
}

impl CommandHook {
    pub(super) async fn run(&self, alert: &Bytes) -> Result<(), HookError> {
        let failed = |source| HookError::Run { program: self.program.clone(), source };
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(inherited)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let stdin = child.stdin.take();
        let ending = async {
            if let Some(mut stdin) = stdin {
                match stdin.write_all(alert).await {
                    // It may decide without reading.
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                    _ => {}
                }
            }
            child.wait().await
        };
        match timeout(self.timeout, ending).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(HookError::Exit(status)),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => {
                // The child has not been waited for, so the number is still its group's.
                let _ = group.map(|group| kill_process_group(group, Signal::KILL));
                let _ = child.wait().await;
                Err(HookError::Timeout(self.timeout))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> CommandHook {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        CommandHook { program: "/bin/sh".to_owned(), arguments, timeout }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_command_reads_the_alert_in_a_clean_environment() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let script = format!("cat > '{0}'; env >> '{0}'", out.display());
        shell(&script, LONG).run(&Bytes::from("{\"a\":1}\n")).await.unwrap();
        let out = std::fs::read_to_string(out).unwrap();
        let (alert, environment) = out.split_once('\n').unwrap();
        assert_eq!(alert, "{\"a\":1}");
        // Cargo sets this for tests.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!environment.contains("CARGO"), "{environment}");
    }

    #[tokio::test]
    async fn a_command_need_not_read() {
        shell("exit 0", LONG).run(&Bytes::from(vec![b' '; 1024 * 1024])).await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_by_its_status() {
        let error = shell("exit 3", LONG).run(&Bytes::new()).await.unwrap_err();
        assert!(matches!(error, HookError::Exit(status) if status.code() == Some(3)), "{error}");
        let missing = CommandHook { program: "/nowhere".to_owned(), ..shell("", LONG) };
        let error = missing.run(&Bytes::new()).await.unwrap_err();
        assert!(matches!(error, HookError::Run { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!("sleep 600 & echo $! > '{}'; wait", pids.display());
        let error =
            shell(&script, Duration::from_millis(300)).run(&Bytes::new()).await.unwrap_err();
        assert!(matches!(error, HookError::Timeout(_)), "{error}");
        let pid = std::fs::read_to_string(pids).unwrap();
        // Gone, or dead and waiting for whoever inherited it: a signal takes a moment.
        let stat = format!("/proc/{}/stat", pid.trim());
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }
}
