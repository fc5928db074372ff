// Requests to the gateway that served the page.

/** A failed request. Its message is for people. status 0: the gateway did not answer. */
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
    text = await response.text(); // fails if the answer breaks off
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
  if (text && body === undefined) throw new Refusal(0, "This answer didn't come from the gateway."); // but from a proxy, for example
  return { body, etag: response.headers.get("ETag") };
}

/** Makes a caller's requests: GET /usage with its own key. */
export class Caller {
  constructor(key) {
    this.key = key;
  }

  async usage(hours) {
    return (await ask(`../usage?hours=${hours}`, { headers: { "api-key": this.key } })).body;
  }
}

/** Returns the header with which a change is refused if the value that it is based on has
 * changed since. */
export const ifMatch = (value) => ({ "If-Match": `"${value.version}"` });

/** Makes an operator's requests to /manage. */
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

  /** Returns the items of all pages of a list, or of as many pages as it takes for maxItems. */
  async all(path, query = {}, maxItems = 5000) {
    const items = [];
    let after;
    do {
      const page = await this.get(path, { ...query, limit: 1000, after });
      items.push(...page.items);
      after = page.next;
    } while (after && items.length < maxItems);
    return items;
  }

  /** Returns the path of a subscription; tier and group do the same for theirs. */
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
