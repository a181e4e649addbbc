"""Chat templates as models' repositories ship them."""

from __future__ import annotations

from typing import Final

CHATML: Final = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Qwen 2's."""

LLAMA_3: Final = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

LLAMA_2: Final = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)

QWEN_2_VL: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endif %}{% endfor %}"
)
"""Reads contents of several parts."""

TRICKY: Final = (
    "{%- set ns = namespace(turn=0) -%}\n"
    "{%- for message in messages if message.role != 'tool' %}\n"
    "    {%- if message.role == 'system' %}{%- continue %}{%- endif %}\n"
    "    {%- set ns.turn = ns.turn + 1 %}\n"
    "    {%- if message.role == 'assistant' %}\n"
    "        {%- generation %}<|im_start|>{{ message.content }}<|im_end|>{%- endgeneration %}\n"
    "    {%- else %}\n"
    "        {{- '<|im_start|>' ~ ns.turn ~ (message | tojson) ~ '<|im_end|>' }}\n"
    "    {%- endif %}\n"
    "    {%- if message.tool_calls %}{{ message.tool_calls | tojson(indent=1) }}{%- endif %}\n"
    "    {%- if message.reasoning_content %}<think>{{ message.reasoning_content }}{%- endif %}\n"
    "{%- endfor %}\n"
    "{{- tools is none and documents is none }}{{ eos_token }}{{ mask_token }}\n"
)
"""Loop controls, namespaces, generation marks, JSON: what newer templates use."""

DATED: Final = "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.content }}{% endfor %}"
