//! What happens meanwhile, in turn.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::controlplane::proxy::Proxy;
use crate::controlplane::{ControlPlane, Quorate};
use crate::load::Target;
use crate::reviews::POLICY;

/// Between two faults.
const PAUSE: Duration = Duration::from_secs(5);

/// How long the API server is stopped.
const STOPPED: Duration = Duration::from_secs(5);

/// How many clients begin a request that they don't end.
const SLOW: usize = 50;

/// What faults are done to.
pub(crate) struct Faults<'a> {
    pub(crate) cluster: &'a ControlPlane,
    pub(crate) quorate: &'a Quorate<'a>,
    pub(crate) network: &'a Proxy,
    pub(crate) target: &'a Target,
}

impl Faults<'_> {
    /// One after another until the time is over, with a minute's rest at its end; returns how many there were.
    pub(crate) async fn run(&self, until: Instant) -> Result<usize> {
        let mut count = 0;
        while Instant::now() + Duration::from_secs(30) < until {
            match count % 5 {
                0 => self.reload(count)?,
                1 => self.renew()?,
                2 => self.stop().await?,
                3 => drop(self.network.cut()),
                _ => self.slow_clients().await?,
            }
            count += 1;
            sleep(PAUSE).await;
        }
        // Until clients that are too slow have been cut off.
        sleep(until.saturating_duration_since(Instant::now())).await;
        Ok(count)
    }

    fn reload(&self, count: usize) -> Result<()> {
        let grace =
            format!("minimum: 2 }}\n    terminationGracePeriod: {{ action: Warn, minimumSeconds: {} }}", 5 + count % 7);
        fs::write(self.quorate.directory().join("policy-0.yaml"), POLICY.replacen("minimum: 2 }", &grace, 1))?;
        Ok(())
    }

    fn renew(&self) -> Result<()> {
        let program = std::env::current_exe()?;
        let quorate =
            program.ancestors().nth(2).context("this program lies outside a target directory")?.join("quorate");
        let made = Command::new(quorate)
            .args(["certs", "--service", self.quorate.instance(), "--out"])
            .arg(self.quorate.directory())
            .output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let api_server = self.cluster.process("kube-apiserver").context("no API server")?;
        api_server.signal("STOP")?;
        sleep(STOPPED).await;
        api_server.signal("CONT")
    }

    async fn slow_clients(&self) -> Result<()> {
        for number in 0..SLOW {
            let mut stream = TcpStream::connect(self.target.address()).await?;
            tokio::spawn(async move {
                // Half of them say nothing at all, the others begin a TLS handshake.
                if number % 2 == 0 {
                    stream.write_all(&[22, 3, 1, 2]).await?;
                }
                sleep(PAUSE * 5).await;
                anyhow::Ok(())
            });
        }
        Ok(())
    }
}
