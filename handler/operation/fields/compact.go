package fields

import "tollgate/handler/jsonscan"

// CompactSize returns the size in bytes that a JSON text would have without white space
// between its values, but with a blank after each comma and colon.
func CompactSize(text []byte) (size int64) {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\n', '\r':
		case ',', ':':
			size += 2
		case '"':
			end := stringEnd(text, i)
			size += int64(end - i)
			i = end - 1
		default:
			size++
		}
	}
	return size
}

// stringEnd returns the end of the string whose opening quote is at i.
func stringEnd(text []byte, i int) int {
	for i++; i < len(text); i++ {
		if i += jsonscan.PlainLen(text[i:]); i == len(text) {
			break
		}
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(text)
}
