package verifier

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"

	"imei-attest/attest"
)

// roomNow is when all is asked, and roomPolicy what all is judged by.
var (
	roomNow    = time.Date(2026, time.March, 4, 5, 6, 7, 8, time.UTC)
	roomPolicy = ObservePolicy()
)

// roomQuestion is one of an EIR about the device of a number, which holds the IMEI of that number.
func roomQuestion(number int) *question {
	q := newQuestion(Input{Now: roomNow, Registration: &Registration{
		IMEI: fmt.Sprintf("35693803%06d", number), SUPI: fmt.Sprintf("imsi-00101%010d", number), Initial: new(bool), Front: FrontS13}}, &Trust{Generation: 1}, nil)
	binary.BigEndian.PutUint64(q.holder[:], uint64(number)*0x9E3779B97F4A7C15)
	q.facts.Prior = &Prior{At: roomNow}
	return q
}

// roomRecord is the decision of a number.
func roomRecord(number int) *Record {
	slot, reg := attest.Submod{Name: attest.SlotName(1)}, attest.Submod{Name: attest.RegistrationSubmod}
	slot.Add(attest.ReasonIMEIConsistent, attest.ReasonHardwareVault)
	reg.Add(attest.ReasonIMEIConsistent, attest.ReasonSubscriberUnbound)
	r := attest.Result{IssuedAt: roomNow, ValidUntil: roomNow.Add(resultLife), Submods: []attest.Submod{slot, reg}, Freshness: attest.Prior}
	v := Verdict{Result: r, Answer: ActionAccept.Answer(&r)}
	binary.BigEndian.PutUint64(v.ID[:], uint64(number))
	return &Record{Verdict: v}
}

func (s *standing) keepNumber(number int) {
	q := roomQuestion(number)
	s.keep(q, roomPolicy, &appraisal{freshness: attest.Prior}, roomRecord(number), false, s.since(q))
}

// heap is what is alive, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestManyAnswersStandInLittleRoom: at 128 Ki nothing was forgotten yet, and however many more are asked for, the room stays as it is.
func TestManyAnswersStandInLittleRoom(t *testing.T) {
	const most = 350 // bytes, of each answer that is kept, or was lately
	s, before := new(standing), heap()
	for i := range standingHalf {
		s.keepNumber(i)
	}
	each := (heap() - before) / standingHalf
	t.Logf("%d bytes for each of %d answers", each, standingHalf)
	if each > most {
		t.Errorf("an answer takes %d bytes, want %d at most", each, most)
	}
	for i := 0; i < standingHalf; i += 31 {
		if got, _, found := s.find(roomQuestion(i), roomPolicy); !found || !reflect.DeepEqual(got, roomRecord(i).Verdict) {
			t.Fatalf("%d: found %v, %+v", i, found, got)
		}
	}
	for i := range standingHalf + 1 {
		s.keepNumber(standingHalf + i)
	}
	if all := (heap() - before) / (2 * standingHalf); all > most || len(s.young.of)+len(s.old.of) > 2*standingHalf {
		t.Errorf("%d answers stand, in %d bytes each", len(s.young.of)+len(s.old.of), all)
	}
	runtime.KeepAlive(s)
}

// TestManyWordingsStandInLittleRoom: who has ever other answers told ends the oldest.
func TestManyWordingsStandInLittleRoom(t *testing.T) {
	s := new(standing)
	for i := range 3 * standingWordings {
		q, r := roomQuestion(i), roomRecord(i)
		r.Verdict.Answer.Label = fmt.Sprint(i)
		s.keep(q, roomPolicy, &appraisal{freshness: attest.Prior}, r, false, s.since(q))
		if got, _, found := s.find(q, roomPolicy); !found || !reflect.DeepEqual(got, r.Verdict) {
			t.Fatalf("%d: found %v, %+v", i, found, got)
		}
	}
	if len(s.young.wordings) > standingWordings || len(s.old.wordings) > standingWordings {
		t.Errorf("%d and %d wordings are kept", len(s.young.wordings), len(s.old.wordings))
	}
}

// TestADeviceRestsFewIMEIs: what stands for those of which there is no room is not kept, because it would not end with the device.
func TestADeviceRestsFewIMEIs(t *testing.T) {
	s, holder := new(standing), attest.KeyID{1}
	for i := range standingHeld + 2 {
		q := roomQuestion(i)
		q.holder = holder
		s.keep(q, roomPolicy, &appraisal{freshness: attest.Prior}, roomRecord(i), false, s.since(q))
		if _, _, found := s.find(q, roomPolicy); found != (i < standingHeld) {
			t.Errorf("of IMEI %d of one device, an answer stands: %v", i, found)
		}
	}
	ends := roomQuestion(standingHalf)
	ends.evidence, ends.endorsement = &attest.Evidence{KeyID: holder}, &endorsement{credential: &attest.SignedCredential{}}
	s.end(ends, false)
	if len(s.young.of) != 0 || len(s.young.held) != 0 {
		t.Errorf("%d answers stand after the device attested, for %d IMEIs", len(s.young.of), len(s.young.held))
	}
}

// BenchmarkAnswerThatStands is what finding it costs, among 128 Ki.
func BenchmarkAnswerThatStands(b *testing.B) {
	s, q := new(standing), make([]*question, standingHalf)
	for i := range q {
		q[i] = roomQuestion(i)
		s.keepNumber(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, found := s.find(q[i%len(q)], roomPolicy); !found {
			b.Fatal("no answer stands")
		}
	}
}
