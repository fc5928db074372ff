// Calls that the openai client makes beside chat completions.
const input = "Can you tell me the time, please?";
const model = "gpt-5-mini";
const tools = [{ type: "function", name: "time", strict: false, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

const usage = (u) => ({ prompt_tokens: u.input_tokens, completion_tokens: u.output_tokens });

// seen is what the caller sees of a response.
const seen = (response) => ({ content: response.output_text, usage: usage(response.usage) });

export const responses = {
  plain: async (sdk) => seen(await sdk.responses.create({ model, input })),
  stream: async (sdk) => {
    let content = "", last;
    for await (const event of await sdk.responses.create({ model, input, stream: true })) {
      if (event.type === "response.output_text.delta") content += event.delta;
      last = event;
    }
    return last.type === "response.completed" ? { content, usage: usage(last.response.usage) } : { error: `the stream ended with ${last.type}` };
  },
  helper: async (sdk) => seen(await sdk.responses.stream({ model, input }).finalResponse()),
  // An agent's loop: a function is called, its result is sent, and the model answers.
  tools: async (sdk) => {
    const first = await sdk.responses.create({ model, input, tools, store: false, include: ["reasoning.encrypted_content"], reasoning: { effort: "low" } });
    const call = first.output.find((item) => item.type === "function_call");
    if (!call || !JSON.parse(call.arguments).city) return { error: "no function was called with its arguments" };
    const rest = [{ role: "user", content: input }, ...first.output, { type: "function_call_output", call_id: call.call_id, output: "noon" }];
    return seen(await sdk.responses.create({ model, input: rest, tools, store: false }));
  },
  // A stored conversation, continued, read and deleted.
  stored: async (sdk) => {
    const first = await sdk.responses.create({ model, input });
    const second = await sdk.responses.create({ model, input, previous_response_id: first.id });
    if (second.usage.input_tokens <= first.usage.total_tokens) return { error: "the conversation was not continued" };
    const again = await sdk.responses.retrieve(second.id);
    const items = await sdk.responses.inputItems.list(second.id);
    if (again.id !== second.id || items.data.length !== 1) return { error: "the stored response is another" };
    await sdk.responses.delete(second.id);
    const gone = await sdk.responses.retrieve(second.id).catch((error) => error.status);
    return gone === 404 ? seen(first) : { error: `a deleted response is answered ${gone}` };
  },
  count: async (sdk) => ({ content: String((await sdk.responses.inputTokens.count({ model, input })).input_tokens) }),
};

export const embeddings = {
  plain: async (sdk) => {
    const { data, usage } = await sdk.embeddings.create({ model: "text-embedding-3-small", input: ["hello world", "hello"] });
    const whole = data.length === 2 && data.every((one) => one.embedding.length === 1536 && Math.abs(one.embedding[0]) < 1);
    return whole ? { content: String(data[0].embedding[0]), usage } : { error: "the vectors are not whole" };
  },
};

const prompt = { model: "gpt-3.5-turbo-instruct", prompt: input, max_tokens: 60 };

export const completions = {
  plain: async (sdk) => {
    const answer = await sdk.completions.create(prompt);
    return { content: answer.choices[0].text, usage: answer.usage };
  },
  stream: async (sdk) => {
    let content = "", usage;
    for await (const chunk of await sdk.completions.create({ ...prompt, stream: true, stream_options: { include_usage: true } })) {
      content += chunk.choices[0]?.text ?? "";
      usage = chunk.usage ?? usage;
    }
    return { content, usage };
  },
};
