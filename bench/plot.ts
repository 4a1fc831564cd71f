import type { Row } from './report.ts';

const [WIDTH, LABELS, LINE, BAR] = [900, 260, 26, 14];

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Bars of CPU seconds per 10,000 requests, service and Envoy side by side, with the range over the rounds. */
export function plot(rows: readonly Row[], title: string): string {
  const largest = Math.max(...rows.map((row) => row.serviceCpu.max + row.envoyCpu.max), 0.01);
  const scale = (WIDTH - LABELS - 90) / largest;
  const height = 60 + rows.length * LINE;
  const bars = rows.map((row, i) => {
    const y = 46 + i * LINE;
    const middle = y + BAR / 2;
    const service = row.serviceCpu.median * scale;
    const envoy = row.envoyCpu.median * scale;
    const [low, high] = [LABELS + row.serviceCpu.min * scale, LABELS + row.serviceCpu.max * scale];
    return [
      `<text x="${LABELS - 8}" y="${y + 11}" text-anchor="end">${escaped(row.variant)}</text>`,
      `<rect x="${LABELS}" y="${y}" width="${service.toFixed(1)}" height="${BAR}" fill="#2a6fb0"/>`,
      `<rect x="${(LABELS + service).toFixed(1)}" y="${y}" width="${envoy.toFixed(1)}" height="${BAR}" fill="#c9d3dd"/>`,
      `<path d="M${low.toFixed(1)} ${middle}H${high.toFixed(1)}" stroke="#111" stroke-width="1.5"/>`,
      `<text x="${(LABELS + service + envoy + 6).toFixed(1)}" y="${y + 11}">${row.serviceCpu.median.toFixed(2)} + ${row.envoyCpu.median.toFixed(2)}</text>`,
    ].join('');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="12" y="18" font-size="14">${escaped(title)}</text>`,
    `<text x="12" y="34" fill="#555">CPU seconds per 10,000 requests: service (blue, with its range) + Envoy (grey)</text>`,
    ...bars,
    '</svg>\n',
  ].join('\n');
}
