package fields

import "strings"

// outsideBody are the fields that make a model read something that isn't in the body, in
// lower case and without underscores.
var outsideBody = map[string]bool{
	"datasources": true, "websearchoptions": true, "websearch": true, "enablesearch": true, "searchparameters": true,
	"plugins": true, "files": true, "fileids": true, "attachments": true, "mcpservers": true,
	"previousresponseid": true, "conversation": true, "thread": true, "promptid": true,
	"image": true, "images": true, "imageurl": true, "imageurls": true, "video": true, "videos": true, "videourl": true,
	"inputaudio": true, "toolresources": true, "vectorstoreids": true, "searchoptions": true, "groundingoptions": true,
}

// multiplying are the fields, spelled as in outsideBody, that make a server write more
// completions than it returns.
var multiplying = map[string]bool{
	"bestof": true, "usebeamsearch": true, "numbeams": true, "beamwidth": true, "numreturnsequences": true, "candidatecount": true,
}

// ReadsOutsideBody reports whether a field makes a model read something that isn't in the
// body.
func ReadsOutsideBody(key []byte) bool { return outsideBody[normalized(key)] }

// MultipliesCompletions reports whether a field makes a server write more completions than it returns.
func MultipliesCompletions(key []byte) bool { return multiplying[normalized(key)] }

// normalized returns a field's name in lower case and without underscores.
func normalized(key []byte) string { return strings.ReplaceAll(strings.ToLower(string(key)), "_", "") }
