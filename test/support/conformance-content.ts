/**
 * What the scenarios of `@modelcontextprotocol/conformance` ask a server for by name, in the shapes that both SDKs
 * take. The texts are the suite's.
 */

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';
const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=';

export const text = (value: string) => ({ type: 'text' as const, text: value });
const image = { type: 'image' as const, data: png, mimeType: 'image/png' };
const audio = { type: 'audio' as const, data: wav, mimeType: 'audio/wav' };
const resource = (uri: string, mimeType: string, content: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: content },
});

/** Tools that answer the same to everybody. */
export const fixedTools = {
  test_simple_text: [text('This is a simple text response for testing.')],
  test_image_content: [image],
  test_audio_content: [audio],
  test_embedded_resource: [resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  test_multiple_content_types: [
    text('Multiple content types test:'),
    image,
    resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
  ],
};

export const TOOL_ERROR = 'This tool intentionally returns an error for testing';

/** Resources that are the same for everybody, without their `uri`. */
export const fixedResources = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: png },
  'test://watched-resource': { mimeType: 'text/plain', text: 'This is watched.' },
};

export const TEMPLATE = 'test://template/{id}/data';

export const fromTemplate = (uri: string, id: string) => ({
  contents: [
    {
      uri,
      mimeType: 'application/json',
      text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
    },
  ],
});

const said = <T>(content: T) => ({ role: 'user' as const, content });

export const prompts = {
  simple: () => ({ messages: [said(text('This is a simple prompt for testing.'))] }),
  withArguments: (one: string, two: string) => ({
    messages: [said(text(`Prompt with arguments: arg1='${one}', arg2='${two}'`))],
  }),
  withResource: (uri: string) => ({
    messages: [
      said(resource(uri, 'text/plain', 'Embedded resource content for testing.')),
      said(text('Please process the embedded resource above.')),
    ],
  }),
  withImage: () => ({ messages: [said(image), said(text('Please analyze the image above.'))] }),
};

/** Milliseconds between two notifications of one call, as the scenarios want it. */
export const PAUSE_MS = 50;
