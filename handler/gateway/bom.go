package gateway

import "bytes"

// The byte order marks that editors and libraries put before a text.
var (
	markUTF8    = []byte{0xef, 0xbb, 0xbf}
	markUTF16LE = []byte{0xff, 0xfe} // also begins UTF-32's
	markUTF16BE = []byte{0xfe, 0xff}
	markUTF32BE = []byte{0x00, 0x00, 0xfe, 0xff}
)

// stripMark returns a body without UTF-8's byte order mark. It refuses the marks of
// UTF-16 and UTF-32, and names them: what follows can't be read as JSON.
func stripMark(body []byte) ([]byte, error) {
	for _, mark := range [][]byte{markUTF16LE, markUTF16BE, markUTF32BE} {
		if bytes.HasPrefix(body, mark) {
			return nil, badRequest("body", "The body begins with the byte order mark of UTF-16 or UTF-32. Send it as UTF-8.")
		}
	}
	return bytes.TrimPrefix(body, markUTF8), nil
}
