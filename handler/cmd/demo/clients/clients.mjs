// Calls the gateway through one of the official clients and prints what its
// caller sees, as one line of JSON a mode.
// Usage: node clients.mjs <client> <mode>[,<mode>…] <retries> <url> <key>
// The clients are those of calls, below. All have the modes plain and, but for embeddings,
// stream; most have helper (the SDK's own reading of streams), tools and model.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { AzureOpenAI } from "openai";
import ModelClient, { isUnexpected } from "@azure-rest/ai-inference";
import { AzureKeyCredential } from "@azure/core-auth";
import { anthropic } from "./anthropic.mjs";
import { responses, embeddings, completions } from "./responses.mjs";

const [client, modes, retries, url, key] = process.argv.slice(2);
let mode;
const model = "DeepSeek-R1";
const messages = [{ role: "user", content: "Can you tell me the time, please?" }];
const maxRetries = Number(retries);

const tools = [{ type: "function", function: { name: "time", parse: JSON.parse, function: () => "noon",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } }];

async function openai(sdk) {
  if (mode === "helper") {
    const stream = sdk.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
    return { content: await stream.finalContent(), usage: await stream.totalUsage() };
  }
  if (mode === "tools") {
    const runner = sdk.chat.completions.runTools({ model, messages, tools, stream: true });
    const content = await runner.finalContent();
    const called = runner.messages.filter((m) => m.role === "tool").length;
    return called === 1 ? { content } : { error: `${called} tools were called` };
  }
  if (mode === "model") {
    return { content: (await sdk.models.retrieve(model)).id };
  }
  if (mode === "plain") {
    const answer = await sdk.chat.completions.create({ model, messages });
    return { content: answer.choices[0].message.content, usage: answer.usage };
  }
  let content = "", usage;
  const stream = await sdk.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    content += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return { content, usage };
}

async function inference() {
  const sdk = ModelClient(`${url}/models`, new AzureKeyCredential(key), { retryOptions: { maxRetries }, allowInsecureConnection: true });
  const request = sdk.path("/chat/completions").post({ body: { model, messages, stream: mode === "stream" } });
  if (mode === "plain") {
    const answer = await request;
    if (isUnexpected(answer)) return { error: "isUnexpected", status: Number(answer.status) };
    return { content: answer.body.choices[0].message.content, usage: answer.body.usage };
  }
  const answer = await request.asNodeStream();
  if (answer.status !== "200") {
    answer.body.resume(); // or its connection keeps the process alive
    return { error: "isUnexpected", status: Number(answer.status) };
  }
  let text = "";
  for await (const piece of answer.body) text += piece;
  const chunks = text.split("\n\n").filter((e) => e.startsWith("data: {")).map((e) => JSON.parse(e.slice(6)));
  return { content: chunks.map((c) => c.choices[0]?.delta?.content ?? "").join(""), usage: chunks.at(-1).usage };
}

const foundry = () => new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: key, maxRetries });

const calls = {
  openai: () => openai(foundry()),
  responses: () => responses[mode](foundry()),
  embeddings: () => embeddings[mode](foundry()),
  completions: () => completions[mode](foundry()),
  anthropic: () => anthropic[mode](new Anthropic({ baseURL: `${url}/anthropic`, apiKey: key, maxRetries })),
  // As Claude Code does where it has a token for a gateway.
  bearer: () => anthropic[mode](new Anthropic({ baseURL: url, authToken: key, apiKey: null, maxRetries })),
  // As callers of API Management do: a dummy as the SDK's own key.
  apim: () => openai(new OpenAI({ baseURL: `${url}/inference`, apiKey: "DUMMY", defaultHeaders: { "Ocp-Apim-Subscription-Key": key }, maxRetries })),
  // The endpoint ends in a slash, as the SDK's documentation has it: some versions double it.
  azure: () => openai(new AzureOpenAI({ endpoint: `${url}/`, apiKey: key, deployment: model, apiVersion: "2024-10-21", maxRetries })),
  inference,
};

for (mode of modes.split(",")) {
  try {
    console.log(JSON.stringify(await calls[client]()));
  } catch (error) {
    console.log(JSON.stringify({ error: error.constructor.name, status: error.status, message: error.message }));
  }
}
