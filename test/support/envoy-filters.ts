/** Takes every trailer out of requests. */
export const NO_REQUEST_TRAILERS = {
  name: 'no_request_trailers',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
    mutations: { request_trailers_mutations: [{ remove_on_match: { key_matcher: { safe_regex: { regex: '.*' } } } }] },
  },
};

/** Answers 413 to bodies that are larger, announced or not. */
export const bodiesUpTo = (bytes: number) => ({
  name: 'envoy.filters.http.buffer',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer',
    max_request_bytes: bytes,
  },
});
