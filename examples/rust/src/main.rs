// SPDX-License-Identifier: Apache-2.0

// A Rust agent on the packaged ttrpc crate: it starts a process in fresh
// namespaces, learns its pid, waits for its exit by long-poll and reads the
// events of its life. The crate has no streams, so it asks NextEvents. Build
// it with ./build.sh; usage: agent-rust SOCKET [PROGRAM [ARGUMENT...]].

// What the generator makes for the older edition is not ours to mend.
#[allow(clippy::all, deprecated, unused)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}

use protobuf::{Message, RepeatedField};
use schema::nsexec::*;
use std::os::unix::io::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::process::exit;

// How long one poll may take before it is asked again.
const POLL_MS: u32 = 2000;
const ALL_KINDS: [NamespaceKind; 8] = [
    NamespaceKind::NS_USER,
    NamespaceKind::NS_IPC,
    NamespaceKind::NS_UTS,
    NamespaceKind::NS_NET,
    NamespaceKind::NS_PID,
    NamespaceKind::NS_MNT,
    NamespaceKind::NS_CGROUP,
    NamespaceKind::NS_TIME,
];

type Failure = Box<dyn std::error::Error>;

/// One unary call of service nsexec.v1.Nsexec.
fn call<A: Message>(
    client: &ttrpc::Client,
    method: &str,
    request: &dyn Message,
) -> Result<A, ttrpc::Error> {
    let mut envelope = ttrpc::Request::new();
    envelope.set_service("nsexec.v1.Nsexec".to_string());
    envelope.set_method(method.to_string());
    let fault = |e: protobuf::ProtobufError| ttrpc::Error::Others(e.to_string());
    envelope.set_payload(request.write_to_bytes().map_err(fault)?);
    let answer = client.request(envelope)?;
    A::parse_from_bytes(answer.get_payload()).map_err(fault)
}

/// The daemon's own words about a failed call.
fn explain(error: ttrpc::Error) -> Failure {
    if let ttrpc::Error::RpcStatus(status) = &error {
        for any in status.get_details() {
            if let Ok(detail) = ErrorDetail::parse_from_bytes(any.get_value()) {
                return format!(
                    "{:?}: {} (rule: {}; hint: {})",
                    detail.get_code(),
                    detail.get_message(),
                    detail.get_rule(),
                    detail.get_hint()
                )
                .into();
            }
        }
    }
    error.into()
}

/// The process: eight new namespaces, container root is the caller.
fn request(args: &[String]) -> RunRequest {
    let mut spec = ContainerSpec::new();
    for kind in ALL_KINDS.iter() {
        let mut namespace = Namespace::new();
        namespace.set_kind(*kind);
        namespace.set_create(true);
        spec.mut_namespaces().push(namespace);
    }
    spec.mut_id_maps().set_preset(MapPreset::MAP_ROOT);
    spec.set_hostname(b"from-rust".to_vec());
    let process = spec.mut_process();
    process.set_args(args.iter().map(|arg| arg.clone().into_bytes()).collect());
    process.mut_env().push(b"PATH=/usr/bin:/bin".to_vec());
    let mut run = RunRequest::new();
    run.set_spec(spec);
    run
}

/// Ask until the process is over. A poll that ends without an exit is no
/// error: the daemon keeps the exit for whoever asks next.
fn wait_exit(client: &ttrpc::Client, id: &str) -> Result<ExitStatus, Failure> {
    let mut wait = WaitRequest::new();
    wait.set_id(id.to_string());
    wait.set_timeout_ms(POLL_MS);
    loop {
        match call::<WaitResponse>(client, "Wait", &wait) {
            Ok(answer) if answer.has_exit() => return Ok(answer.get_exit().clone()),
            Ok(_) => continue,
            Err(ttrpc::Error::RpcStatus(status))
                if status.get_code() == ttrpc::Code::DEADLINE_EXCEEDED =>
            {
                continue
            }
            Err(error) => return Err(explain(error)),
        }
    }
}

/// Print the events of one container from seq on until it has exited.
fn follow(client: &ttrpc::Client, id: &str, mut seq: u64) -> Result<(), Failure> {
    loop {
        let mut next = NextEventsRequest::new();
        next.set_timeout_ms(POLL_MS);
        next.mut_filter().set_from_seq(seq);
        next.mut_filter()
            .set_containers(RepeatedField::from_vec(vec![id.to_string()]));
        let answer: NextEventsResponse = call(client, "NextEvents", &next).map_err(explain)?;
        for event in answer.get_events() {
            let kind = event.get_field_type();
            println!("event {} {:?} pid {}", event.get_seq(), kind, event.get_pid());
            if kind == EventType::EVENT_EXITED {
                return Ok(());
            }
        }
        seq = answer.get_next_seq();
    }
}

fn agent(socket: &str, args: &[String]) -> Result<(), Failure> {
    // The client owns the descriptor from here on and closes it at its end.
    let client = ttrpc::Client::new(UnixStream::connect(socket)?.into_raw_fd());
    let version: VersionResponse =
        call(&client, "Version", &VersionRequest::new()).map_err(explain)?;
    println!("daemon {} api {}", version.get_version(), version.get_api());
    let run: RunResponse = call(&client, "Run", &request(args)).map_err(explain)?;
    let id = run.get_info().get_id();
    println!("started {} pid {}", id, run.get_info().get_pid());
    let end = wait_exit(&client, id)?;
    println!("exit code {} signal {}", end.get_code(), end.get_signal());
    follow(&client, id, version.get_last_seq() + 1)?;
    let mut delete = DeleteRequest::new();
    delete.set_id(id.to_string());
    call::<DeleteResponse>(&client, "Delete", &delete).map_err(explain)?;
    Ok(())
}

fn main() {
    let mut words = std::env::args().skip(1);
    let socket = words
        .next()
        .unwrap_or_else(|| "/run/nsexecd/nsexecd.sock".to_string());
    let mut args: Vec<String> = words.collect();
    if args.is_empty() {
        args = ["sh", "-c", "exit 3"].iter().map(|s| s.to_string()).collect();
    }
    if let Err(error) = agent(&socket, &args) {
        eprintln!("agent: {}", error);
        exit(1);
    }
}
