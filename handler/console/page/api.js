// Requests to the gateway that served the page.

/** A failed request; the message is for people. status 0: no answer of the gateway. */
export class Refusal extends Error {
  constructor(status, message, { retry, code, errors } = {}) {
    super(message);
    this.status = status;
    this.retry = retry; // seconds
    this.code = code; // for programs: stale, in_use, …
    this.errors = errors ?? []; // the wrong fields: {field, problem, fix}
  }
}

async function ask(path, options) {
  let response, text;
  try {
    response = await fetch(new URL(path, document.baseURI), { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(30_000), ...options });
    text = await response.text(); // may break off, too
  } catch (error) {
    throw new Refusal(0, error.name === "TimeoutError" ? "The gateway didn't answer in 30 s." : "The gateway can't be reached.");
  }
  let body;
  try {
    body = text ? JSON.parse(text) : undefined;
  } catch {
    body = undefined;
  }
  if (!response.ok) {
    const message = body?.detail ?? body?.message ?? `The gateway answered ${response.status}.`;
    throw new Refusal(response.status, message, { retry: Number(response.headers.get("Retry-After")) || undefined, code: body?.code, errors: body?.errors });
  }
  if (text && body === undefined) throw new Refusal(0, "The answer isn't the gateway's."); // a proxy's page, for example
  return { body, etag: response.headers.get("ETag") };
}

/** A caller's requests: GET /usage with its own key. */
export class Caller {
  constructor(key) {
    this.key = key;
  }

  async usage(hours) {
    return (await ask(`../usage?hours=${hours}`, { headers: { "api-key": this.key } })).body;
  }
}

/** An operator's requests to /manage. */
export class Operator {
  constructor(token) {
    this.token = token;
  }

  async ask(method, path, body, headers = {}) {
    return ask(`../manage${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { Authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json" }), ...headers },
    });
  }

  async get(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined);
    return (await this.ask("GET", `${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`)).body;
  }

  /** Returns all pages of a list, up to about most items. */
  async all(path, query = {}, most = 5000) {
    const items = [];
    let after;
    do {
      const page = await this.get(path, { ...query, limit: 1000, after });
      items.push(...page.items);
      after = page.next;
    } while (after && items.length < most);
    return items;
  }

  /** Returns the path of a subscription, as tier and group do of theirs. */
  subscription(id) {
    return `/subscriptions/${encodeURIComponent(id)}`;
  }

  tier(id) {
    return `/tiers/${encodeURIComponent(id)}`;
  }

  group(id) {
    return `/groups/${encodeURIComponent(id)}`;
  }
}
