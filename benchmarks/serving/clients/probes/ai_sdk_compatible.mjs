// The AI SDK with @ai-sdk/openai-compatible: the chat.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";
import { apiKey, audio, baseURL, DRAW, fails, image, isPNG, LISTEN, LOOK, model, run, says, TALK } from "./checks.mjs";

const provider = createOpenAICompatible({ name: "nextgpt", baseURL, apiKey });
const ask = (content, of = provider(model)) =>
  generateText({ model: of, messages: [{ role: "user", content }], maxRetries: 0 });

await run({
  chat: async () => says((await ask(TALK)).text),
  stream: async () => {
    let text = "";
    for await (const delta of streamText({ model: provider(model), prompt: DRAW }).textStream) text += delta;
    says(text);
  },
  image_in: async () =>
    says((await ask([{ type: "text", text: LOOK }, { type: "image", image, mediaType: "image/png" }])).text, "apple"),
  audio_in: async () =>
    says((await ask([{ type: "text", text: LISTEN }, { type: "file", data: audio, mediaType: "audio/wav" }])).text, "piano"),
  media_out: async () => {
    const message = (await ask(DRAW)).response.body.choices[0].message;
    isPNG(message.images[0].image_url.url);
  },
  errors: () => fails(() => ask(TALK, provider("no-such-model"))),
});
