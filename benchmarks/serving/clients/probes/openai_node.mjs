// openai for Node: the chat and the Responses API.
import OpenAI from "openai";
import { apiKey, audio, baseURL, DRAW, fails, imageURI, isPNG, LISTEN, LOOK, model, run, says, TALK } from "./checks.mjs";

const client = new OpenAI({ baseURL, apiKey });
const ask = async (content, options = {}) =>
  (await client.chat.completions.create({ model, messages: [{ role: "user", content }], ...options })).choices[0].message;

await run({
  chat: async () => says((await ask(TALK)).content),
  stream: async () => {
    const stream = client.chat.completions.stream({ model, messages: [{ role: "user", content: DRAW }] });
    says(await stream.finalContent());
  },
  image_in: async () =>
    says((await ask([{ type: "text", text: LOOK }, { type: "image_url", image_url: { url: imageURI } }])).content, "apple"),
  audio_in: async () => {
    const input_audio = { data: audio.toString("base64"), format: "wav" };
    says((await ask([{ type: "text", text: LISTEN }, { type: "input_audio", input_audio }])).content, "piano");
  },
  media_out: async () => isPNG((await ask(DRAW)).images[0].image_url.url),
  errors: () => fails(() => client.chat.completions.create({ model: "no-such-model", messages: [{ role: "user", content: TALK }] })),
  responses: async () => {
    const tools = [{ type: "image_generation", partial_images: 2 }];
    const stream = client.responses.stream({ model, input: DRAW, tools });
    const kinds = [];
    for await (const event of stream) kinds.push(event.type);
    const final = await stream.finalResponse();
    says(final.output_text);
    isPNG(final.output.find((item) => item.type === "image_generation_call").result);
    if (!kinds.includes("response.image_generation_call.partial_image")) throw new Error("no partial image");
  },
});
