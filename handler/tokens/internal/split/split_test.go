package split

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/dlclark/regexp2"
)

// pair is a scanner and the patterns it implements, for tiktoken-go's own engine. Each
// pattern cuts the pieces of the one before, and what it doesn't match is a piece too.
type pair struct {
	scanner   interface{ Next([]byte, int) int }
	reference []*regexp2.Regexp
}

func pairs() map[string]pair {
	compile := func(patterns ...string) (all []*regexp2.Regexp) {
		for _, pattern := range patterns {
			all = append(all, regexp2.MustCompile(pattern, regexp2.None))
		}
		return all
	}
	return map[string]pair{
		"deepseek": {NewDeepSeek(), compile(DeepSeekPatterns[:]...)},
		"cl100k":   {NewCl100k(), compile(Cl100kPattern)},
		"o200k":    {NewO200k(), compile(O200kPattern)},
	}
}

func (p pair) pieces(text string) (all []string) {
	for at := 0; at < len(text); {
		end := p.scanner.Next([]byte(text), at)
		if end <= at {
			return append(all, "no progress")
		}
		all, at = append(all, text[at:end]), end
	}
	return all
}

func (p pair) want(t *testing.T, text string) []string {
	pieces := []string{text}
	for _, pattern := range p.reference {
		var cut []string
		for _, piece := range pieces {
			runes, at := []rune(piece), 0
			match, err := pattern.FindStringMatch(piece)
			for ; match != nil && err == nil; match, err = pattern.FindNextMatch(match) {
				cut = append(cut, string(runes[at:match.Index]), match.String())
				at = match.Index + match.Length
			}
			if err != nil {
				t.Fatal(err)
			}
			cut = append(cut, string(runes[at:]))
		}
		pieces = slices.DeleteFunc(cut, func(piece string) bool { return piece == "" })
	}
	return pieces
}

func (p pair) check(t *testing.T, text string) {
	t.Helper()
	if got, want := p.pieces(text), p.want(t, text); !slices.Equal(got, want) {
		t.Errorf("%q: got pieces %q, want %q", text, got, want)
	}
}

// special are characters that the patterns treat differently.
const special = "abzABZ'sStTrReEvVmMlLdDſKİ019 \t\r\n\v\f\u0085\u00a0\u2028\u3000\u200b\u200d\ufeff\u180e\x00\x1c.,-_/'<>|{$^`+=~" +
	"éÉǅʰªßŒжЖאعहिः\u0301\u0300\u20dd٣²½Ⅷ①世界龥龦鿿一〇々ぁんゟ゠ァ・ーヿ\u3040\u3097\u3099\u309a゛ㄅ한국가𝒳😀👩\u0378\ue000𠀀\U000e0100\U0010ffff�，。「」"

// random returns a text of few different characters, so that runs and borders are
// frequent.
func random(r *rand.Rand) string {
	all := []rune(special)
	alphabet := make([]rune, 1+r.IntN(7))
	for i := range alphabet {
		switch r.IntN(8) {
		case 0:
			alphabet[i] = rune(r.IntN(0x3000))
		case 1:
			alphabet[i] = rune(r.IntN(unicode.MaxRune + 1))
		default:
			alphabet[i] = all[r.IntN(len(all))]
		}
	}
	var text strings.Builder
	for range r.IntN(24) {
		text.WriteRune(alphabet[r.IntN(len(alphabet))])
	}
	return text.String()
}

func TestScannersCutRandomTextsLikeThePatterns(t *testing.T) {
	for name, p := range pairs() {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 12_000 {
				if p.check(t, random(r)); t.Failed() {
					return
				}
			}
		})
	}
}

// uniform are ranges of characters that every pattern treats the same: all Chinese, all
// Korean, private, or unassigned.
var uniform = map[rune]rune{
	0x4F00: 0x9F00, 0xAD00: 0xD700, 0xE100: 0xF800, 0x20100: 0x2A600, 0x2B800: 0x31300, 0x34000: 0xE0000, 0xE0200: 0x10FFC0,
}

func TestScannersCutEveryCharacterLikeThePatterns(t *testing.T) {
	for name, p := range pairs() {
		t.Run(name, func(t *testing.T) {
			for first := rune(0); first <= unicode.MaxRune; first += 64 {
				if after, alike := uniform[first]; alike {
					first = after
				}
				var text strings.Builder
				for char := first; char < first+64; char++ {
					text.WriteString("a" + string(char) + " " + string(char) + string(char) + "世")
				}
				if p.check(t, text.String()); t.Failed() {
					return
				}
			}
		})
	}
}

func FuzzScanners(f *testing.F) {
	f.Add("\n \n  \n   x'LL I'm １２３4世・ゟ\u200b\u0301a")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range pairs() {
			p.check(t, strings.ToValidUTF8(text, "�"))
		}
	})
}
