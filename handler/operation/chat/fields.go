package chat

import "strings"

// settings are the fields of a call that no model reads, and that don't change how
// the text it writes is split into tokens.
var settings = map[string]bool{
	"model": true, "stream": true, "stream_options": true, "n": true, "max_tokens": true, "max_completion_tokens": true,
	"temperature": true, "top_p": true, "top_k": true, "min_p": true, "seed": true, "stop": true, "user": true,
	"frequency_penalty": true, "presence_penalty": true, "repetition_penalty": true,
	"logprobs": true, "top_logprobs": true, "store": true, "metadata": true, "service_tier": true,
}

// elsewhere are the fields that make a model read something that isn't in the body, in
// lower case and without underscores.
var elsewhere = map[string]bool{
	"datasources": true, "websearchoptions": true, "websearch": true, "enablesearch": true, "searchparameters": true,
	"plugins": true, "files": true, "fileids": true, "attachments": true, "mcpservers": true,
	"previousresponseid": true, "conversation": true, "thread": true, "promptid": true,
	"image": true, "images": true, "imageurl": true, "imageurls": true, "video": true, "videos": true, "videourl": true,
	"inputaudio": true, "toolresources": true, "vectorstoreids": true, "searchoptions": true, "groundingoptions": true,
}

// branching are the fields, spelled as in elsewhere, that make a server write more
// completions than it returns.
var branching = map[string]bool{
	"bestof": true, "usebeamsearch": true, "numbeams": true, "beamwidth": true, "numreturnsequences": true, "candidatecount": true,
}

func readsElsewhere(key []byte) bool { return elsewhere[normalized(key)] }

// normalized returns a field's name in lower case and without underscores.
func normalized(key []byte) string { return strings.ReplaceAll(strings.ToLower(string(key)), "_", "") }
