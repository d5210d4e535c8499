package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
)

// reopenInterval is how long a broken stream waits before it is opened again.
const reopenInterval = 100 * time.Millisecond

// stream holds one gRPC stream until ctx ends, and opens it again when it breaks.
// It is one of the reflection service, where a question is answered at once, both ways at any time.
func (l *load) stream(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		err := l.converse(ctx, &began)
		if ctx.Err() != nil {
			return
		}
		l.broken.Add(1)
		l.tell(LoadEvent{At: time.Now(), Kind: "stream", Error: err.Error(), After: time.Since(began)})
		select {
		case <-ctx.Done():
		case <-time.After(reopenInterval):
		}
	}
}

// converse opens a stream and asks on it until that fails. began is when the last question was asked.
func (l *load) converse(ctx context.Context, began *time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connection, err := grpc.NewClient("passthrough:///"+l.StreamAddress, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return dialAbsolute(ctx, "tcp", address) }))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	stream, err := reflection.NewServerReflectionClient(connection).ServerReflectionInfo(ctx)
	if err != nil {
		return fmt.Errorf("open the stream: %w", err)
	}
	question := &reflection.ServerReflectionRequest{MessageRequest: &reflection.ServerReflectionRequest_ListServices{}}
	ticker := time.NewTicker(l.MessageInterval)
	defer ticker.Stop()
	for {
		*began = time.Now()
		late := time.AfterFunc(l.Timeout, cancel)
		err := stream.Send(question)
		if err == nil || !errors.Is(err, context.Canceled) {
			_, err = stream.Recv() // says why Send failed, too
		}
		if !late.Stop() {
			return errors.New("no answer in time")
		}
		if err != nil {
			return err
		}
		l.messages.Add(1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
