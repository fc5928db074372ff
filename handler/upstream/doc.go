// Package upstream calls the model's endpoints and relays their answers. It
// reads no bodies: what they mean is the gateway's business.
package upstream
