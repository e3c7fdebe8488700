// Kinds of ops with their colours, and colours of a share.

const KINDS = [
  ["product", "Products", "matmul eh_proj product moe_matmul moe_swiglu moe_sum"],
  ["attention", "Attention", "attention rope_attention kv_store rope pool_keys choose_blocks"],
  ["recurrent", "DeltaNet", "causal_conv dilated_conv stream_conv gdn_scan gated_delta_net"],
  ["norm", "Norms", "rmsnorm l2norm"],
  ["routing", "Routing", "softmax topk_router expert_rows expert_sum"],
  ["rounding", "Rounding", "quantize"],
  ["moving", "Moving rows", "embed get_rows concat split reshape streams ngram_rows"],
];
const OTHER = ["elementwise", "Element by element"];
const byOp = new Map(KINDS.flatMap(([kind, , ops]) => ops.split(" ").map((op) => [op, kind])));

export const kindOf = (op) => byOp.get(op) ?? OTHER[0];
export const legend = () => [...KINDS.map(([kind, name]) => [kind, name]), OTHER];

/** Colours as the style has them now. */
let colours = {};

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "side", "raised", "ink", "soft", "line", "strong-line", "accent", "tint", "warn", "added", "removed", "merged", "rewired", "before", "after", "hot", "cold", "mono", "sans"];
  const kinds = [...KINDS.map(([kind]) => kind), OTHER[0]];
  const probe = document.createElement("span");
  document.body.append(probe);
  const value = (name) => {
    if (name === "mono" || name === "sans") return style.getPropertyValue(`--${name}`);
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  colours = Object.fromEntries([...names.map((name) => [name, value(name)]), ...kinds.map((kind) => [kind, value(`kind-${kind}`)])]);
  probe.remove();
}

export const colour = (name) => colours[name] ?? "#888";

/** From cold to hot. */
export function heat(share) {
  const part = Math.round(100 * Math.min(1, Math.max(0, share)));
  return `color-mix(in oklab, ${colour("hot")} ${part}%, ${colour("cold")})`;
}

/** What a block is called after what is in it. */
export function blockKind(section) {
  const ops = new Set(section.body.ops.map(({ op }) => op));
  const has = (...names) => names.some((name) => ops.has(name));
  const mixer = has("attention", "rope_attention") ? "attention" : has("gdn_scan", "gated_delta_net") ? "DeltaNet" : null;
  const experts = has("moe_matmul", "moe_swiglu") ? "experts" : null;
  return [mixer, experts].filter(Boolean).join(", ") || null;
}
