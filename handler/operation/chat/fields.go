package chat

// settings are the fields of a call that no model reads, and that don't change how many
// tokens the text that it writes has.
var settings = map[string]bool{
	"model": true, "stream": true, "stream_options": true, "n": true, "max_tokens": true, "max_completion_tokens": true,
	"temperature": true, "top_p": true, "top_k": true, "min_p": true, "seed": true, "stop": true, "user": true,
	"frequency_penalty": true, "presence_penalty": true, "repetition_penalty": true,
	"logprobs": true, "top_logprobs": true, "store": true, "metadata": true, "service_tier": true,
}
