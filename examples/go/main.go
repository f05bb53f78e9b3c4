// SPDX-License-Identifier: Apache-2.0

// A Go agent on containerd's stock ttrpc package: it starts a process in fresh
// namespaces, learns its pid, waits for its exit by long-poll and reads the
// events of its life. Nothing here is privileged, and nothing is forked: the
// daemon does that. Build it with ./build.sh.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"nsexec"
)

// How long one poll may take before it is asked again.
const pollMs = 2000

var kinds = []nsexec.NamespaceKind{
	nsexec.NamespaceKind_NS_USER, nsexec.NamespaceKind_NS_IPC, nsexec.NamespaceKind_NS_UTS, nsexec.NamespaceKind_NS_NET,
	nsexec.NamespaceKind_NS_PID, nsexec.NamespaceKind_NS_MNT, nsexec.NamespaceKind_NS_CGROUP, nsexec.NamespaceKind_NS_TIME,
}

// val is the value of an optional field, or zero.
func val[T any](field *T) T {
	if field == nil {
		var zero T
		return zero
	}
	return *field
}

// explain turns a failed call into the daemon's own words.
func explain(err error) error {
	for _, any := range status.Convert(err).Proto().GetDetails() {
		var detail nsexec.ErrorDetail
		if detail.Unmarshal(any.Value) == nil && detail.Code != nil {
			return fmt.Errorf("%s: %s (rule: %s; hint: %s)",
				val(detail.Code), val(detail.Message),
				val(detail.Rule), val(detail.Hint))
		}
	}
	return err
}

// request describes the process: eight new namespaces, container root is us.
func request(args []string) *nsexec.RunRequest {
	create, preset := true, nsexec.MapPreset_MAP_ROOT
	spec := &nsexec.ContainerSpec{
		Hostname: []byte("from-go"),
		IdMaps:   &nsexec.IdMaps{Preset: &preset},
		Process:  &nsexec.Process{Env: [][]byte{[]byte("PATH=/usr/bin:/bin")}},
	}
	for i := range kinds {
		spec.Namespaces = append(spec.Namespaces,
			&nsexec.Namespace{Kind: &kinds[i], Create: &create})
	}
	for _, arg := range args {
		spec.Process.Args = append(spec.Process.Args, []byte(arg))
	}
	return &nsexec.RunRequest{Spec: spec}
}

// waitExit asks until the process is over. A poll that ends without an exit
// is no error: the daemon keeps the exit for whoever asks next.
func waitExit(ctx context.Context, client nsexec.NsexecService, id string) (*nsexec.ExitStatus, error) {
	timeout := uint32(pollMs)
	for {
		answer, err := client.Wait(ctx, &nsexec.WaitRequest{Id: &id, TimeoutMs: &timeout})
		if err == nil && answer.Exit != nil {
			return answer.Exit, nil
		}
		if err != nil && status.Code(err) != codes.DeadlineExceeded {
			return nil, explain(err)
		}
	}
}

// follow prints the events of one container from seq on until it has exited.
func follow(ctx context.Context, client nsexec.NsexecService, id string, seq uint64) error {
	timeout := uint32(pollMs)
	for {
		answer, err := client.NextEvents(ctx, &nsexec.NextEventsRequest{
			Filter:    &nsexec.EventsRequest{FromSeq: &seq, Containers: []string{id}},
			TimeoutMs: &timeout,
		})
		if err != nil {
			return explain(err)
		}
		for _, event := range answer.Events {
			fmt.Printf("event %d %s pid %d\n", val(event.Seq), val(event.Type), val(event.Pid))
			if val(event.Type) == nsexec.EventType_EVENT_EXITED {
				return nil
			}
		}
		seq = val(answer.NextSeq)
	}
}

func agent(socket string, args []string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	raw := ttrpc.NewClient(conn)
	defer raw.Close()
	client := nsexec.NewNsexecClient(raw)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	version, err := client.Version(ctx, &nsexec.VersionRequest{})
	if err != nil {
		return explain(err)
	}
	fmt.Printf("daemon %s api %s\n", val(version.Version), val(version.Api))
	run, err := client.Run(ctx, request(args))
	if err != nil {
		return explain(err)
	}
	id := val(run.Info.Id)
	fmt.Printf("started %s pid %d\n", id, val(run.Info.Pid))
	exit, err := waitExit(ctx, client, id)
	if err != nil {
		return err
	}
	fmt.Printf("exit code %d signal %d\n", val(exit.Code), val(exit.Signal))
	if err := follow(ctx, client, id, val(version.LastSeq)+1); err != nil {
		return err
	}
	if _, err := client.Delete(ctx, &nsexec.DeleteRequest{Id: &id}); err != nil {
		return explain(err)
	}
	return nil
}

func main() {
	socket := flag.String("socket", "/run/nsexecd/nsexecd.sock", "RPC socket of nsexecd")
	flag.Parse()
	args := flag.Args()
	if len(args) == 0 {
		args = []string{"sh", "-c", "exit 3"}
	}
	if err := agent(*socket, args); err != nil {
		if errors.Is(err, ttrpc.ErrClosed) {
			err = fmt.Errorf("the daemon went away: %w", err)
		}
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
}
