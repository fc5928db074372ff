// Calls that Anthropic's client makes.
const messages = [{ role: "user", content: "Can you tell me the time, please?" }];
const model = "claude-sonnet-5";
const body = { model, messages, max_tokens: 1024 };
const tools = [{ name: "time", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

const text = (message) => message.content.map((block) => block.text ?? "").join("");
const seen = (message) => ({ content: text(message), usage: { prompt_tokens: message.usage.input_tokens, completion_tokens: message.usage.output_tokens } });

export const anthropic = {
  plain: async (sdk) => seen(await sdk.messages.create(body)),
  stream: async (sdk) => {
    let content = "", usage, last;
    for await (const event of await sdk.messages.create({ ...body, stream: true })) {
      content += event.delta?.text ?? "";
      usage = { prompt_tokens: event.usage?.input_tokens, completion_tokens: event.usage?.output_tokens, ...(event.usage ? {} : usage) };
      last = event.type;
    }
    return last === "message_stop" ? { content, usage } : { error: `the stream ended with ${last}` };
  },
  helper: async (sdk) => seen(await sdk.messages.stream({ ...body, max_tokens: 4096, thinking: { type: "adaptive" } }).finalMessage()),
  tools: async (sdk) => {
    const first = await sdk.messages.create({ ...body, tools });
    const call = first.content.find((block) => block.type === "tool_use");
    if (first.stop_reason !== "tool_use" || !call?.input.city) return { error: "no tool was used with its input" };
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "noon" }] };
    return seen(await sdk.messages.create({ ...body, tools, messages: [...messages, { role: "assistant", content: first.content }, result] }));
  },
  count: async (sdk) => ({ content: String((await sdk.messages.countTokens({ model, messages })).input_tokens) }),
  // The beta client adds ?beta=true.
  beta: async (sdk) => seen(await sdk.beta.messages.create({ ...body, betas: ["context-management-2025-06-27"] })),
  model: async (sdk) => {
    const listed = [];
    for await (const one of sdk.models.list()) listed.push(one.id);
    const one = await sdk.models.retrieve(model);
    return listed.includes(model) ? { content: one.display_name } : { error: `${model} is not listed` };
  },
};
