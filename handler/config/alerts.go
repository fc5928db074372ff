package config

import (
	"fmt"
	"net/url"

	"tollgate/handler/alert"
	"tollgate/handler/azure"
	"tollgate/handler/secret"
)

const (
	settingWebhook       = "ALERT_WEBHOOK_URL"
	settingWebhookSecret = "ALERT_WEBHOOK_SECRET"
)

// alerts reads the webhook for alerts. Its faults don't show the address, which may hold a
// secret.
func (s *settings) alerts() alert.Webhook {
	w := alert.Webhook{URL: secret.New(s.text(settingWebhook, "")), Secret: secret.New(s.text(settingWebhookSecret, ""))}
	switch {
	case w.URL.Empty() && !w.Secret.Empty():
		s.fault(settingWebhook, "is missing, but "+settingWebhookSecret+" is set", "set it to the https address that alerts are posted to")
	case !w.URL.Empty() && w.Secret.Empty():
		s.fault(settingWebhookSecret, "is missing, but "+settingWebhook+" is set", "use a long random text, such as the output of openssl rand -hex 32, and give it to the receiver")
	case !w.Secret.Empty() && len(w.Secret.Reveal()) < alert.MinSecretLength:
		s.fault(settingWebhookSecret, fmt.Sprintf("is shorter than %d bytes", alert.MinSecretLength), "use a long random text, such as the output of openssl rand -hex 32")
	}
	if !w.URL.Empty() && !postable(w.URL.Reveal()) {
		s.fault(settingWebhook, "is not an address that alerts can be posted to", "use https://<host>/<path>, without a login and a fragment; http only for an address of this machine")
	}
	return w
}

// postable reports whether alerts may be posted to an address: over https, or within this
// machine, so that nobody else can read them.
func postable(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Fragment != "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && azure.IsLoopback(u.Hostname())
}
