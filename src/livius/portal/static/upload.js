// Uploads files one after the other, each as the body of a request, and shows how far each is.
const upload = document.getElementById("upload");
const { to, most, done, large, lost: cut } = upload.dataset;
const csrf = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF"];

function send(file, line) {
  return new Promise((settled) => {
    const bar = line.querySelector("progress"), request = new XMLHttpRequest();
    const replace = upload.elements.replace?.checked ? "&replace=yes" : "";
    request.open("PUT", `${to.endsWith("=") ? to : `${to}%2F`}${encodeURIComponent(file.name)}${replace}`);
    request.setRequestHeader("X-CSRF", csrf);
    request.setRequestHeader("HX-Request", "true"); // errors come as notes
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => { bar.max = event.total || 1; bar.value = event.loaded; };
    request.onload = () => {
      const stored = request.status === 201;
      if (stored) bar.value = bar.max;
      else if (request.getResponseHeader("X-Portal-Note")) document.getElementById("notes").innerHTML = request.responseText;
      else location.assign(request.getResponseHeader("HX-Redirect") || location.href);
      settled(stored);
    };
    request.onerror = () => { line.lastChild.textContent = cut; settled(false); };
    request.send(file);
  });
}

async function sendAll(files) {
  document.getElementById("notes").replaceChildren();
  let all = files.length > 0;
  for (const file of files) {
    const line = document.createElement("li"), said = document.createElement("span");
    const bar = document.createElement("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    said.textContent = file.name;
    line.append(said, bar, document.createElement("span"));
    upload.querySelector(".ways").append(line);
    if (file.size > Number(most)) { line.lastChild.textContent = large; all = false; continue; }
    all = await send(file, line) && all;
  }
  if (all) { say(done); location.reload(); }
}

const chosen = document.getElementById("upload-files");
chosen.addEventListener("change", () => {
  const files = [...chosen.files];
  chosen.value = ""; // so that the same file can be chosen again
  sendAll(files);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  upload.addEventListener(name, (event) => {
    event.preventDefault();
    upload.classList.toggle("over", name === "dragover");
    if (name === "drop") sendAll([...event.dataTransfer.files]);
  });
}
