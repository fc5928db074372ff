package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// unhurried records the write deadlines it gets and the bytes written under each.
type unhurried struct {
	*httptest.ResponseRecorder
	deadlines []time.Duration // from now; negative: none
	written   []int
}

func (u *unhurried) SetWriteDeadline(at time.Time) error {
	left := time.Until(at)
	if at.IsZero() {
		left = -1
	}
	u.deadlines, u.written = append(u.deadlines, left), append(u.written, 0)
	return nil
}

func (u *unhurried) Write(p []byte) (int, error) {
	if n := len(u.written); n > 0 {
		u.written[n-1] += len(p)
	}
	return u.ResponseRecorder.Write(p)
}

// A caller that reads a long answer piece by piece has time for each piece. A caller that
// reads nothing is cut off after 30 s, because its answer takes memory.
func TestALongAnswerIsAcceptedPieceByPiece(t *testing.T) {
	for size, pieces := range map[int]int{100: 0, connectionBuffer: 0, connectionBuffer + 1: 1, 1 << 20: 1, 5<<20 + 1: 6} {
		w := &unhurried{ResponseRecorder: httptest.NewRecorder()}
		c := &call{arrival: arrival{w: w}}
		c.send(http.StatusOK, "", make([]byte, size))
		if w.Body.Len() != size {
			t.Errorf("got %d bytes written, want %d", w.Body.Len(), size)
		}
		if pieces == 0 {
			if len(w.deadlines) > 0 {
				t.Errorf("%d bytes: got deadlines %v, want none", size, w.deadlines)
			}
			continue
		}
		if len(w.deadlines) != pieces+1 || w.deadlines[pieces] >= 0 {
			t.Fatalf("%d bytes: got deadlines %v, want %d, and none left at the end", size, w.deadlines, pieces)
		}
		for i, left := range w.deadlines[:pieces] {
			if left <= 0 || left > pieceTimeout || w.written[i] > pieceSize {
				t.Errorf("%d bytes: got piece %d of %d bytes with %v left, want at most %d bytes, and from 0 to %v", size, i, w.written[i], left, pieceSize, pieceTimeout)
			}
		}
	}
}
