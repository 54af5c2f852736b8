//! The doors of the daemon: all of them are open before one of them is served, so that whoever
//! connects is answered.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};

use super::{StartError, metrics, operator::Operator, parts::Parts};
use crate::{
    config::{Config, PageConfig, PostfixLogConfig, kind::file_mode},
    ctl,
    doors::{
        datagram::DatagramDoor, plugin_socket::PluginSocket, postfix_log::PostfixLog,
        postfix_log_told::Checks, socketmap::Socketmap, socketmap_reply::Resolvers,
    },
    net::{
        activation::Activated,
        http_door::HttpDoor,
        unix_socket::{Access, BoundSocket},
    },
    observe::Counters,
    page::{self, SignIn, router},
    report::Submitter,
};

/// Open doors.
pub(super) struct Doors {
    plugin_socket: PluginSocket,
    socketmap: Socketmap,
    datagram_door: Option<DatagramDoor>,
    postfix_log: PostfixLogConfig,
    checks: Checks,
    control_socket: BoundSocket,
    page: Option<Page>,
    metrics: Option<HttpDoor>,
}

/// The page, before it is served.
struct Page {
    sockets: HttpDoor,
    config: PageConfig,
}

impl Doors {
    /// Opens them all, with the sockets that systemd passed and those that are bound here.
    ///
    /// # Errors
    /// When the operator must act first.
    pub(super) fn open(
        config: &Config,
        activated: &mut Activated,
        counters: &Arc<Counters>,
    ) -> Result<Self, StartError> {
        let plugin_socket =
            PluginSocket::open(&config.plugin_socket, activated, Arc::clone(counters))?;
        let socketmap = Socketmap::open(&config.socketmap, activated, Arc::clone(counters))?;
        let datagram_door =
            DatagramDoor::open(&config.tlsrpt_socket, activated, Arc::clone(counters))?;
        let control = &config.control_socket;
        let mode = file_mode(&control.mode).map_err(StartError::ControlSocketMode)?;
        Ok(Self {
            plugin_socket,
            socketmap,
            datagram_door,
            postfix_log: config.postfix_log.clone(),
            checks: if config.probe.enabled {
                Checks::OurLook
            } else {
                Checks::Nobody
            },
            control_socket: BoundSocket::open(&control.path, &Access::mode(mode), activated)?,
            page: match config.page.is_on() {
                true => Some(Page {
                    sockets: page::open(&config.page, activated)?,
                    config: config.page.clone(),
                }),
                false => None,
            },
            metrics: match config.metrics.is_on() {
                true => Some(metrics::open(&config.metrics, activated)?),
                false => None,
            },
        })
    }

    /// Serves them until `stopping` turns true. None ends before.
    pub(super) fn serve(
        self,
        parts: &Parts,
        operator: &Arc<Operator>,
        resolvers: &Arc<Resolvers>,
        sign_in: &Arc<SignIn>,
        stopping: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let mut doors = JoinSet::new();
        let hook = || Arc::clone(&parts.engine) as _;
        doors.spawn(self.plugin_socket.serve(hook(), stopping.clone()));
        let socketmap = self.socketmap.with_resolvers(Arc::clone(resolvers));
        doors.spawn(socketmap.serve(hook(), stopping.clone()));
        if let Some(door) = self.datagram_door {
            doors.spawn(door.serve(hook(), stopping.clone()));
        }
        if !self.postfix_log.path.as_os_str().is_empty() {
            let log = PostfixLog::new(
                &self.postfix_log,
                parts.reports.submitter().map(Submitter::envelope_from),
                self.checks,
                hook(),
                Arc::clone(&parts.counters),
                Arc::clone(&parts.clock),
            );
            doors.spawn(log.follow(stopping.clone()));
        }
        if let Some(page) = self.page {
            let router = router(Arc::clone(operator) as _, Arc::clone(sign_in), &page.config);
            doors.spawn(page.sockets.serve(router, stopping.clone()));
        }
        if let Some(door) = self.metrics {
            let router = metrics::router(Arc::clone(operator));
            doors.spawn(door.serve(router, stopping.clone()));
        }
        doors.spawn(ctl::server::serve(
            self.control_socket,
            Arc::clone(operator) as _,
            stopping.clone(),
        ));
        doors
    }
}
