// SPDX-License-Identifier: Apache-2.0

// A Go client on a ttrpc release that has streams (1.2 and later): it follows
// the event stream of the daemon, starts processes meanwhile, and checks that
// their events come in order and without a hole. One connection carries the
// stream and another the calls, as a slow reader of a stream holds up all
// calls of its connection in ttrpc's client. Build it with ./build.sh.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"

	"example/nsexec"
)

func dial(socket string) (*ttrpc.Client, nsexec.NsexecClient, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, err
	}
	raw := ttrpc.NewClient(conn)
	return raw, nsexec.NewNsexecClient(raw), nil
}

// start runs one process to its end and deletes it; its id.
func start(ctx context.Context, client nsexec.NsexecClient) (string, error) {
	run, err := client.Run(ctx, &nsexec.RunRequest{Spec: &nsexec.ContainerSpec{
		Process: &nsexec.Process{
			Args: [][]byte{[]byte("/bin/sh"), []byte("-c"), []byte("exit 5")},
		},
	}})
	if err != nil {
		return "", err
	}
	id := run.GetInfo().GetId()
	wait, err := client.Wait(ctx, &nsexec.WaitRequest{Id: &id})
	if err != nil {
		return "", err
	}
	if wait.GetExit().GetCode() != 5 {
		return "", fmt.Errorf("%s: exit code %d", id, wait.GetExit().GetCode())
	}
	_, err = client.Delete(ctx, &nsexec.DeleteRequest{Id: &id})
	return id, err
}

// follow reads until the container id is deleted; how many events it read.
func follow(stream nsexec.Nsexec_EventsClient, id string, seq *uint64) (int, error) {
	for count := 1; ; count++ {
		event, err := stream.Recv()
		if err != nil {
			return count, err
		}
		if event.GetSeq() != *seq {
			return count, fmt.Errorf("event %d came, %d was next", event.GetSeq(), *seq)
		}
		*seq++
		fmt.Printf("event %d %s %s\n", event.GetSeq(), event.GetType(), event.GetContainer())
		if event.GetType() == nsexec.EventType_EVENT_DELETED && event.GetContainer() == id {
			return count, nil
		}
	}
}

func client(socket string, count int) error {
	rawCalls, calls, err := dial(socket)
	if err != nil {
		return err
	}
	defer rawCalls.Close()
	rawEvents, events, err := dial(socket)
	if err != nil {
		return err
	}
	defer rawEvents.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	version, err := calls.Version(ctx, &nsexec.VersionRequest{})
	if err != nil {
		return err
	}
	seq := version.GetLastSeq() + 1
	stream, err := events.Events(ctx, &nsexec.EventsRequest{FromSeq: proto.Uint64(seq)})
	if err != nil {
		return err
	}
	for i := 0; i < count; i++ {
		id, err := start(ctx, calls)
		if err != nil {
			return err
		}
		if _, err := follow(stream, id, &seq); err != nil {
			return err
		}
	}
	fmt.Printf("%d containers, %d events, no hole\n", count, seq-version.GetLastSeq()-1)
	return nil
}

func main() {
	socket := flag.String("socket", "/run/nsexecd/nsexecd.sock", "RPC socket of nsexecd")
	count := flag.Int("count", 5, "how many processes to start")
	flag.Parse()
	if err := client(*socket, *count); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}
