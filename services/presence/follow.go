package presence

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/eventlog"
	"airloom/internal/subject"
)

// stale is how far the fold may stay behind an event that was heard as news before following starts anew.
const stale = time.Second

// fold follows the log for ever. Following is opened anew from the fold's position when the log is away or when the news runs ahead
// of it: an ordered consumer lives on one server, and when that dies its client notices only after many seconds.
func (s *Service) fold(ctx context.Context) error {
	caughtUp := sync.OnceFunc(func() { close(s.caughtUp) })
	for ctx.Err() == nil {
		err := s.followOnce(ctx, caughtUp)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, eventlog.ErrAway), errors.Is(err, errBehind), errors.Is(err, jetstream.ErrMsgIteratorClosed):
			s.logger.Warn("following events anew", "reason", err)
		default:
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

var errBehind = errors.New("the fold stayed behind the news")

func (s *Service) followOnce(ctx context.Context, caughtUp func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() { s.watchFold(ctx, cancel, s.log.Mending) })
	err := s.log.Follow(ctx, s.position(), caughtUp, s.apply)
	if cause := context.Cause(ctx); errors.Is(cause, errBehind) {
		return cause
	}
	return err
}

// watchFold cancels following when the fold makes no way for as long as stale though there is news. It does not while a hole is filled:
// that takes as long as a replica is away, and begun anew it would never end.
func (s *Service) watchFold(ctx context.Context, cancel context.CancelCauseFunc, mending func() bool) {
	select { // while history is read the news is always ahead
	case <-ctx.Done():
		return
	case <-s.caughtUp:
	}
	at, since := s.position(), time.Now()
	every(ctx, stale/4, func() {
		now := s.position()
		if now != at || s.news.Load() <= now || mending() {
			at, since = now, time.Now()
		}
		if time.Since(since) > stale {
			cancel(errBehind)
		}
	})
}

func (s *Service) position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watch.position
}

// hearNews notes how far the log is, from the events that the stream republishes.
func (s *Service) hearNews(m *nats.Msg) {
	if subject.Parse(m.Subject).Region != s.log.Region() {
		return
	}
	e, err := s.log.DecodeRepublished(m)
	if err != nil {
		return // following tells of what does not decode
	}
	for old := s.news.Load(); e.Position > old && !s.news.CompareAndSwap(old, e.Position); old = s.news.Load() {
	}
}
