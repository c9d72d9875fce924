package provision

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"imei-attest/attest/imei"
)

// LineUnit is a row of a production line's list.
type LineUnit struct {
	Row  int // 1 for the first after the header
	Line int // in the file, for messages
	Unit
}

// unitsHeader is the first line of a list of units.
var unitsHeader = []string{"imei", "imei2", "serial", "model"}

// ErrUnits means that a list of units has mistakes. All of them are in the message, and none shows an IMEI.
var ErrUnits = errors.New("the list of units")

// maxUnitsBytes is room for the largest manifest's units with the longest models.
const maxUnitsBytes = 96 << 20

// ReadUnits reads a list of units in CSV (RFC 4180) with the header imei,imei2,serial,model; a byte order mark and
// CR LF are tolerated. It checks every row, so that the first unit is begun only when the last is known to be good.
func (o *OEM) ReadUnits(r io.Reader, class uint8) ([]LineUnit, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxUnitsBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxUnitsBytes {
		return nil, fmt.Errorf("%w: over %d bytes", ErrUnits, maxUnitsBytes)
	}
	list := unitList{oem: o, class: class, lines: make(map[imei.IMEI]int)}
	list.read(csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))))
	return list.units, list.error()
}

// unitList is a list while it is read.
type unitList struct {
	oem      *OEM
	class    uint8
	units    []LineUnit
	lines    map[imei.IMEI]int // where each IMEI stands
	mistakes []string
	hidden   int // mistakes that are not shown
}

func (l *unitList) read(r *csv.Reader) {
	r.FieldsPerRecord = -1 // counted here, so that all mistakes are found
	header, err := r.Read()
	if err != nil || !slices.Equal(header, unitsHeader) {
		l.mistake(1, "the header must be %s", strings.Join(unitsHeader, ","))
		return
	}
	for {
		fields, err := r.Read()
		var syntax *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return
		case errors.As(err, &syntax):
			l.mistake(syntax.Line, "%v (RFC 4180); what follows was not looked at", syntax.Err)
			return
		}
		line, _ := r.FieldPos(0)
		l.add(line, fields)
	}
}

func (l *unitList) add(line int, fields []string) {
	if len(fields) != len(unitsHeader) {
		l.mistake(line, "%d fields, want %d", len(fields), len(unitsHeader))
		return
	}
	u := LineUnit{Row: len(l.units) + 1, Line: line, Unit: Unit{Model: fields[3], Class: l.class}}
	l.units = append(l.units, u)
	last := &l.units[len(l.units)-1]
	for i, text := range fields[:2] {
		if i == 0 || text != "" {
			l.slot(last, i+1, text)
		}
	}
	var err error
	if last.Serial, err = strconv.ParseUint(fields[2], 10, 64); err != nil || last.Serial == 0 {
		l.mistake(line, "the serial is no positive integer")
	}
	if err := last.checkModel(); err != nil {
		l.mistake(line, "%v", err)
	}
}

func (l *unitList) slot(u *LineUnit, number int, text string) {
	id, err := imei.Parse(text)
	if err != nil {
		l.mistake(u.Line, "slot %d: %v", number, err)
		return
	}
	if err := l.oem.checkTACs(Unit{Slots: []imei.IMEI{id}}); err != nil {
		l.mistake(u.Line, "slot %d: the TAC of %s is not one that %s lists", number, id, AnchorFile)
	}
	if first, taken := l.lines[id]; taken {
		l.mistake(u.Line, "slot %d: %s stands in line %d already", number, id, first)
	}
	l.lines[id] = u.Line
	u.Slots = append(u.Slots, id)
}

func (l *unitList) mistake(line int, format string, args ...any) {
	const shown = 100
	if len(l.mistakes) == shown {
		l.hidden++
		return
	}
	l.mistakes = append(l.mistakes, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
}

func (l *unitList) error() error {
	if len(l.units) == 0 && len(l.mistakes) == 0 {
		return fmt.Errorf("%w: no unit after the header", ErrUnits)
	}
	if len(l.mistakes) == 0 {
		return nil
	}
	if l.hidden > 0 {
		l.mistakes = append(l.mistakes, fmt.Sprintf("and %d more", l.hidden))
	}
	return fmt.Errorf("%w has mistakes, nothing was begun:\n  %s", ErrUnits, strings.Join(l.mistakes, "\n  "))
}
