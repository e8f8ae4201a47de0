// Crowds and points, drawn by WebGL 2; without it, or with #canvas behind the file's name, by the 2-d canvas.

const CROWD_VERTEX = `#version 300 es
out vec2 place; uniform vec4 box;
void main() {
  vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  place = mix(box.xy, box.zw, corner * 0.5 + 0.5);
  gl_Position = vec4(corner, 0.0, 1.0);
}`;
const CROWD_PIXEL = `#version 300 es
precision highp float;
in vec2 place; out vec4 colour;
uniform sampler2D heights; uniform vec3 ground, full; uniform float strength, bands;
void main() {
  float height = 0.0;
  if (all(greaterThan(place, vec2(0.0))) && all(lessThan(place, vec2(1.0)))) height = texture(heights, place).r;
  float step = height * bands;
  float band = min(floor(step), bands - 1.0) / (bands - 1.0);
  float edge = step < 0.5 || step > bands - 0.5 ? 0.0 : 1.0 - smoothstep(0.0, 1.4, abs(fract(step + 0.5) - 0.5) / max(fwidth(step), 1e-4));
  colour = vec4(mix(ground, full, strength * (0.85 * band + 0.16 * edge)), 1.0);
}`;
const SPOT_VERTEX = `#version 300 es
in vec2 spot; in vec3 paint; in float shown;
uniform vec2 middle, scale; uniform float size, alpha;
out vec4 tint; out float width;
void main() {
  gl_Position = vec4((spot - middle) * scale, 0.0, 1.0);
  gl_PointSize = size + 1.0;
  width = size + 1.0;
  tint = vec4(paint, alpha * shown);
}`;
const SPOT_PIXEL = `#version 300 es
precision mediump float;
in vec4 tint; in float width; out vec4 colour;
uniform vec4 rim;
void main() {
  float far = length(gl_PointCoord - 0.5) * width;
  float radius = width * 0.5 - 0.5;
  float inside = clamp(radius + 0.5 - far, 0.0, 1.0);
  if (inside <= 0.0) discard;
  vec3 paint = mix(tint.rgb, rim.rgb, rim.a * clamp(far - radius + 2.0, 0.0, 1.0));
  colour = vec4(paint, 1.0) * tint.a * inside;
}`;

const COARSE = 3;

// All points in an order of no meaning, the same each time: the first of them stand for all.
function shuffled() {
  const order = Uint32Array.from({ length: count }, (_, row) => row);
  let state = 1;
  for (let at = count - 1; at > 0; at--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((state / 4294967296) * (at + 1));
    [order[at], order[other]] = [order[other], order[at]];
  }
  return order;
}

class GlScene {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, alpha: false });
    if (!this.gl) throw new Error("no WebGL 2");
    this.colours = new Uint8Array(3 * count);
    this.shown = new Uint8Array(count).fill(255);
    this.active = new Uint32Array(0);
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.build();
      draw();
    });
    this.build();
  }

  build() {
    const { gl } = this;
    this.crowd = this.program(CROWD_VERTEX, CROWD_PIXEL);
    this.spots = this.program(SPOT_VERTEX, SPOT_PIXEL);
    this.nothing = gl.createVertexArray();
    this.aside = gl.createFramebuffer();
    this.small = gl.createRenderbuffer();
    this.points = gl.createVertexArray();
    gl.bindVertexArray(this.points);
    this.attribute("spot", spots, 2, gl.UNSIGNED_SHORT);
    this.paint = this.attribute("paint", this.colours, 3, gl.UNSIGNED_BYTE);
    this.light = this.attribute("shown", this.shown, 1, gl.UNSIGNED_BYTE);
    this.some = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.some);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, shuffled(), gl.STATIC_DRAW);
    this.elements = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.elements);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.active, gl.DYNAMIC_DRAW);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16F, GRID, GRID, 0, gl.RED, gl.FLOAT, heights);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    }
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  program(vertex, pixel) {
    const { gl } = this;
    const made = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, pixel]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) ?? "no shader");
    const places = new Map();
    return { made, at: (name) => places.get(name) ?? places.set(name, gl.getUniformLocation(made, name)).get(name) };
  }

  attribute(name, values, size, kind) {
    const { gl } = this;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    const place = gl.getAttribLocation(this.spots.made, name);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, kind, true, 0, 0);
    return buffer;
  }

  // Colours of all points, which of them are lit, and which are drawn again on top.
  paintSpots(colours, shown, active) {
    const { gl } = this;
    Object.assign(this, { colours, shown, active });
    for (const [buffer, values] of [[this.paint, colours], [this.light, shown]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    }
    gl.bindVertexArray(this.points);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.elements);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, active, gl.DYNAMIC_DRAW);
  }

  drawCrowd(width, height) {
    const { gl, crowd } = this;
    gl.viewport(0, 0, width, height);
    gl.useProgram(crowd.made);
    gl.bindVertexArray(this.nothing);
    const [left, bottom, right, top] = [...toMap(0, view.height), ...toMap(view.width, 0)].map(
      (value) => (value + MARGIN) / (1 + 2 * MARGIN),
    );
    const tone = themed(CROWD);
    gl.uniform4f(crowd.at("box"), left, bottom, right, top);
    gl.uniform3fv(crowd.at("ground"), tone.ground);
    gl.uniform3fv(crowd.at("full"), tone.full);
    gl.uniform1f(crowd.at("strength"), crowdStrength());
    gl.uniform1f(crowd.at("bands"), BANDS);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // Draws so many of the points; of the crowd, where frames are late, a small picture that is stretched.
  draw(most, late) {
    const { gl, spots: spot, canvas } = this;
    gl.disable(gl.BLEND);
    if (late) {
      const [width, height] = [canvas.width, canvas.height].map((side) => Math.ceil(side / COARSE));
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.aside);
      gl.bindRenderbuffer(gl.RENDERBUFFER, this.small);
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, this.small);
      this.drawCrowd(width, height);
      gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
      gl.blitFramebuffer(0, 0, width, height, 0, 0, canvas.width, canvas.height, gl.COLOR_BUFFER_BIT, gl.LINEAR);
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    } else this.drawCrowd(canvas.width, canvas.height);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.enable(gl.BLEND);
    gl.useProgram(spot.made);
    gl.bindVertexArray(this.points);
    gl.uniform2f(spot.at("middle"), view.x, view.y);
    gl.uniform2f(spot.at("scale"), (2 * view.scale) / view.width, (2 * view.scale) / view.height);
    gl.uniform1f(spot.at("size"), spotSize() * view.dpr);
    gl.uniform1f(spot.at("alpha"), spotAlpha());
    gl.uniform4f(spot.at("rim"), 0, 0, 0, 0);
    if (most < count) {
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.some);
      gl.drawElements(gl.POINTS, most, gl.UNSIGNED_INT, 0);
    } else gl.drawArrays(gl.POINTS, 0, count);
    if (!this.active.length) return;
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.elements);
    gl.uniform1f(spot.at("size"), activeSize(this.active.length) * view.dpr);
    gl.uniform1f(spot.at("alpha"), 1);
    if (this.active.length <= FEW) gl.uniform4f(spot.at("rim"), ...(isDark() ? [1, 1, 1, 0.9] : [0.08, 0.1, 0.16, 0.9]));
    gl.drawElements(gl.POINTS, this.active.length, gl.UNSIGNED_INT, 0);
  }
}

class CanvasScene {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.crowd = document.createElement("canvas");
    this.crowd.width = this.crowd.height = GRID;
  }

  paintSpots(colours, shown, active) {
    Object.assign(this, { colours, shown, active });
    const context = this.crowd.getContext("2d");
    const image = context.createImageData(GRID, GRID);
    const tone = themed(CROWD).full.map((part) => 255 * part);
    for (let at = 0; at < GRID * GRID; at++) {
      const band = Math.min(Math.floor(heights[at] * BANDS), BANDS - 1) / (BANDS - 1);
      const pixel = 4 * ((GRID - 1 - Math.floor(at / GRID)) * GRID + (at % GRID));
      image.data.set([...tone, 255 * 0.85 * band], pixel);
    }
    context.putImageData(image, 0, 0);
  }

  draw(most) {
    const { context, canvas } = this;
    const step = Math.ceil(count / Math.max(most, 1));
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = `rgb(${themed(CROWD).ground.map((part) => Math.round(255 * part)).join(" ")})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.setTransform(view.dpr, 0, 0, view.dpr, 0, 0);
    const [left, top] = toScreen(-MARGIN, 1 + MARGIN);
    const side = view.scale * (1 + 2 * MARGIN);
    context.globalAlpha = crowdStrength();
    context.drawImage(this.crowd, left, top, side, side);
    const [x0, y1] = toMap(0, 0);
    const [x1, y0] = toMap(view.width, view.height);
    context.globalAlpha = spotAlpha();
    const inView = Array.from(cellsWithin(x0, y0, x1, y1)).filter((row) => row % step === 0);
    for (const row of inView) if (this.shown[row] < 255) this.dot(row, spotSize(), 0.2);
    for (const row of inView) if (this.shown[row] === 255) this.dot(row, spotSize(), 1);
    for (const row of this.active) this.dot(row, activeSize(this.active.length), 1);
  }

  dot(row, size, alpha) {
    const { context, colours } = this;
    const [left, top] = toScreen(xOf(row), yOf(row));
    const at = 3 * row;
    context.fillStyle = `rgb(${colours[at]} ${colours[at + 1]} ${colours[at + 2]} / ${alpha})`;
    if (size < 4) return context.fillRect(left - size / 2, top - size / 2, size, size);
    context.beginPath();
    context.arc(left, top, size / 2, 0, 7);
    context.fill();
  }
}

function newScene() {
  if (location.hash !== "#canvas") {
    try {
      return new GlScene($("ground"));
    } catch (error) {
      // A canvas that gave one kind of context gives no other.
      const fresh = $("ground").cloneNode();
      $("ground").replaceWith(fresh);
    }
  }
  return new CanvasScene($("ground"));
}
