// Speaks with the OpenAI SDK for Node; the twin of say.py. Run it from the `node` folder of prepare.py:
//
//     OPENAI_BASE_URL=... OPENAI_CUSTOM_HEADERS=... node say.mjs < JOBS.json

import OpenAI from "openai";
import { VERSION } from "openai/version";

let text = "";
for await (const piece of process.stdin) text += piece;

const client = new OpenAI({ timeout: 20_000, maxRetries: 0 });

// The newer dialects, in the words of speak.py.
const dialects = {
  async response(asked) {
    const answer = asked.stream ? await client.responses.stream(asked).finalResponse() : await client.responses.create(asked);
    const calls = answer.output.filter((item) => item.type === "function_call").map((item) => [item.name, JSON.parse(item.arguments)]);
    const usage = [answer.usage?.input_tokens ?? null, answer.usage?.output_tokens ?? null];
    return { text: answer.output_text, calls, usage, finish: answer.status };
  },
  async embed(asked) {
    const { data, usage } = await client.embeddings.create(asked);
    return { text: `${data.length} x ${data[0].embedding.length}`, calls: [], usage: [usage.prompt_tokens, null], finish: null };
  },
};

async function say(job) {
  try {
    if (job.call in dialects) return await dialects[job.call](job.with);
    if (!job.with.stream) return { whole: await client.chat.completions.create(job.with) };
    const chunks = [];
    for await (const chunk of await client.chat.completions.create(job.with)) chunks.push(chunk);
    const choices = chunks.flatMap((chunk) => chunk.choices);
    return {
      text: choices.filter((choice) => choice.index === 0).map((choice) => choice.delta.content ?? "").join(""),
      finish: choices.map((choice) => choice.finish_reason).filter(Boolean),
      usage: chunks.map((chunk) => chunk.usage).filter(Boolean).at(-1) ?? null,
      chunks: chunks.length,
    };
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { error: { class: error.constructor.name, status: error.status, body: error.error } };
  }
}

for (const job of JSON.parse(text)) console.log(JSON.stringify({ ...(await say(job)), version: VERSION }));
