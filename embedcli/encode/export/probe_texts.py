"""English texts of the project's own: an export takes its scales from half and is measured on the rest.

They are varied on purpose in length, subject and form: an error of quantization depends on the text.
"""

from __future__ import annotations

SENTENCES: tuple[str, ...] = tuple(
    """\
The harbour froze over in the second week of January.
How do I reset the password of a shared mailbox?
fix: close the file handle before renaming the temporary file
She poured the tea, sat down, and said nothing for a while.
Interest rates rose by a quarter of a percent on Thursday.
The parser accepts a trailing comma, but only inside lists.
A kestrel hung in the wind above the motorway embankment.
Error 504: the upstream server did not answer in time.
Mix the flour with the cold butter until it looks like sand.
What is the boiling point of water at three thousand metres?
The committee will meet again on the ninth of March.
Add unit tests for the date formatter
He plays the cello rather badly and with great joy.
Refunds are paid to the card that was used for the order.
Photosynthesis turns light, water and carbon dioxide into sugar.
The train to Leeds leaves from platform four.
My invoice shows the wrong company address.
Snow is expected above eight hundred metres tonight.
Rewrite the cache so that eviction does not take the global lock
Two children were building a dam across the stream.
The vaccine reduced hospital admissions by sixty percent.
cannot allocate memory
Where can I find the operating hours of the library?
Copper conducts electricity better than iron does.
The old bridge is closed to lorries until further notice.
He said the exhibition was dull; she had loved every room.
Please send the signed contract by the end of the week.
Tomatoes need a lot of sun and steady watering.
The court dismissed the appeal without giving reasons.
Upgrade the compiler to version 14.2
A small boat with a red sail came round the headland.
The battery lasts about nine hours under normal use.
Nobody had wound the clock since their grandfather died.
Is it possible to change the delivery date of my parcel?
The enzyme loses its activity above fifty degrees.
They won the final three to two after extra time.
The patch removes an unused argument from the public function.
Rain.
Olive oil, lemon juice, garlic, salt, a little mustard.
Her first novel sold fewer than four hundred copies.
The satellite passes over the pole every ninety minutes.
I was charged twice for the same subscription.
A cat is asleep on the warm bonnet of the car.
The dog is sleeping on the sofa.
A dog sleeps on the couch.
The museum shows Bronze Age tools found near the river.
Unemployment fell for the fifth month in a row.
Merge branch 'release' into main
The lecture covers eigenvalues and their use in mechanics.
Turn left at the church and follow the road to the quarry.
We regret that the performance has been cancelled.
The signal was lost for eleven seconds and then came back.
Dark matter has never been observed directly.
The landlord must return the deposit within thirty days.
A violin needs new strings about twice a year.
Do not store the solvent near an open flame.
The index is rebuilt whenever the model changes.
How many calories are there in a boiled egg?
Their flight was diverted to Marseille because of fog.
The glacier has retreated by two kilometres since 1950.
TypeError: unsupported operand type(s) for +: 'int' and 'str'
Bees communicate the direction of food by dancing.
The king abdicated in favour of his younger brother.
Our support team answers within one working day.
Set the oven to 180 degrees and bake for forty minutes.
The asteroid will miss the Earth by a wide margin.
Most of the villagers keep a few goats and some hens.
The warranty does not cover damage caused by water.
She translated the poem twice, ten years apart.
The pump failed because sand had entered the bearing.
Why does my card get declined abroad?
A quick brown fox, a lazy dog, and every letter once.
The new tax applies to imported steel only.
He repaired the gate with wire and an old hinge.
The protein folds into its final shape within milliseconds.
The concert begins at eight; doors open at seven.
docs: explain what happens to blank lines
The mayor promised more buses and cheaper tickets.
Coral bleaching follows long periods of warm water.
Can I pay by bank transfer instead?
The painting was sold to a private collector in Zurich.
The function returns an empty list when nothing matches.
Wolves were seen again in the northern forests.
Wind turbines off the coast supply a third of the power.
The recipe calls for two cups of rice and one of lentils.
They argued about money, as they did every Sunday.
The device must be restarted after the firmware update.
A second opinion is advisable before knee surgery.
The ferry was delayed by strong winds in the strait.
Quarterly revenue grew by 12.4 % to 310 million euros.
The goalkeeper was sent off in the first half.
The manuscript is missing its last four pages.
Lightning struck the mast but nobody was hurt.
Is there a student discount for the annual plan?
The river carries more silt in spring than in autumn.
Delete every third row and sort the rest by date.
They planted birches along the northern fence.
A soldier wrote home that the food was getting worse.
The keyboard has no key for the euro sign.
The moon was so bright that the sheep cast shadows.
It is not clear who ordered the windows to be boarded up.
Vitamin D is made in the skin when it is exposed to sunlight.
The union rejected the offer by a narrow majority.
Latency dropped from 40 ms to 11 ms after the change.
The shop sells bicycles, parts, and good advice.
What time does the pharmacy close on Saturdays?
""".splitlines()
)
"""Single sentences; `search --min-score auto` asks them what an unrelated question finds."""

_PASSAGES = (
    """The lighthouse was built in 1871 from granite that came by sea, one block at a time, in summers when
the weather allowed it. For eighty years three keepers lived there and were relieved every six weeks.
The lamp is now switched on and off by a sensor, and the only visitors are an engineer in spring and,
some years, a film crew. Gulls nest on the gallery.""",
    """To replace the filter, switch the machine off and let it cool for at least fifteen minutes. Open the
flap at the rear, press the two grey clips together, and pull the cartridge straight out. Rinse the
chamber with clean water. The new cartridge only fits one way round: the arrow must point to the front.
Close the flap, switch the machine on, and run two cups of water through it before you make coffee
again.""",
    """We studied whether short walks after meals lower blood sugar in adults with a raised risk of diabetes.
Seventy-two volunteers were assigned at random to three groups: no walking, one walk of thirty minutes,
or three walks of ten minutes, each begun within half an hour after a meal. Glucose was recorded every
five minutes for two weeks. Three short walks lowered the mean after the evening meal by eleven percent
against no walking (p = 0.004); one long walk had a smaller effect that was not significant. Sleep,
weight and diet did not differ between the groups. The effect was largest in volunteers over sixty. We
conclude that the time of exercise matters, not only its amount, and that advice to walk after dinner
is simple, cheap and probably effective. Longer trials should show whether the benefit lasts.""",
    """Dear customer, thank you for your message of 4 May. We have looked into your order and found that the
parcel was returned to us because the street number was missing. We can send it again free of charge,
or pay back the full amount including postage. Please let us know which you prefer within fourteen
days; if we do not hear from you we shall refund the order. We are sorry for the delay.""",
    """A hash table keeps its entries in an array of buckets and finds the bucket of a key from the key's
hash. As long as the array is much larger than the number of entries, most buckets hold one entry or
none, and a look-up takes constant time on average. When the table fills up, a larger array is made and
every entry is moved. Moving is slow, but it happens so rarely that the average cost of an insertion
stays constant. The worst case is another matter: an attacker who can choose the keys can make them all
fall into one bucket. Random seeds for the hash function, chosen when the program starts, make this
hard. Open addressing stores the entries in the array itself and probes the next places until it finds
a free one. It needs less memory and is kinder to the cache, but it slows down badly when the table is
nearly full, and deletion requires markers or the shifting of later entries.""",
    """The council voted on Tuesday to close the northern half of the market square to cars from next spring.
Eleven members were in favour and six against. Traders had warned that customers would stay away, while
residents pointed to towns where trade rose after similar steps. The square will get trees, benches and
stands for two hundred bicycles. Deliveries remain possible until ten in the morning. The change will
be reviewed after a year.""",
    """def running_mean(values):
    total = 0.0
    for count, value in enumerate(values, start=1):
        total += value
        yield total / count""",
    """On the morning of the third day they saw the pass. It lay further to the west than the map showed,
between a black tooth of rock and a field of old snow, and the path to it crossed four streams, all of
them high. Anders wanted to wait. The sky was clear, he said, and by evening the water would be lower
still; but Ruth had counted the bread, and knew that they could not wait. So they roped up, although
none of them trusted the rope, and went down to the first stream. It was shallow and very cold. The
second was worse. In the third Anders lost a boot, and stood laughing in the middle of the water with
one bare foot held up like a heron, until the others laughed as well. The fourth stream they did not
cross at all. A slab had come down from the cliff during the winter and lay from bank to bank, as flat
as a table, and they walked over it as if somebody had put it there for them. Nobody spoke about it
afterwards.""",
    """Inflation measures how fast prices rise on average. Statisticians choose a basket of goods and services
that an average household buys, record what it costs every month, and compare. No household buys
exactly this basket, which is why people often feel that prices rise faster than the figures say: fuel
and bread are bought every week and noticed, a cheaper television only once in some years.""",
    """Ingredients: 500 g potatoes, 1 onion, 4 eggs, olive oil, salt. Peel the potatoes and slice them thinly.
Fry them slowly with the onion in plenty of oil until they are soft but not brown, about twenty
minutes. Drain. Beat the eggs with salt, stir in the potatoes, and let the mixture stand for ten
minutes. Cook it in a small pan over a low flame, turn it with the help of a plate, and finish the
other side.""",
    """2025-11-03 04:12:09 WARN disk /dev/sdb1 92 % full
2025-11-03 04:12:10 INFO nightly backup started
2025-11-03 04:31:55 ERROR write failed: no space left on device
2025-11-03 04:31:55 INFO backup aborted, 13421 of 20019 files copied""",
    """The ocean takes up about a quarter of the carbon dioxide that people release each year. Some of it is
dissolved at the surface and mixed downwards; some is bound by algae and sinks as dead matter. The
uptake slows the warming of the air, but it makes the water more acid. Since the beginning of industry
the pH of the surface has fallen from roughly 8.2 to 8.1, which sounds small and means almost a third
more hydrogen ions. Corals, mussels and some plankton build their shells from calcium carbonate, and
have to spend more energy on it the more acid the water is. Experiments in tanks show slower growth for
many species, though not for all, and some adapt over several generations. Cold water takes up more gas
than warm water, so the polar seas are affected first. Measurements from ships, drifting floats and a
handful of long time series agree well on the trend. What is less certain is how the circulation of the
ocean will change: if the deep water is renewed more slowly, less carbon will be carried down, and more
will stay in the air. Models differ widely on this point, and the records are too short to decide
between them. It would help to measure the deep ocean far more often than is done today, in particular
in the south, where winter storms keep ships away and most floats are lost within three years.""",
)

PROBE_TEXTS: tuple[str, ...] = (
    *SENTENCES,
    *_PASSAGES,
    # Passages with a sentence before or after them: other lengths, and positions shifted by some tokens.
    *(f"{sentence} {passage}" for sentence, passage in zip(SENTENCES[::9], _PASSAGES, strict=False)),
    *(f"{passage} {sentence}" for sentence, passage in zip(SENTENCES[4::9], _PASSAGES, strict=False)),
    " ".join(SENTENCES[:20]),
    " ".join(SENTENCES[40:75]),
)

CALIBRATION_TEXTS = PROBE_TEXTS[::2]
"""Texts that scales are taken from."""

MEASURED_TEXTS = PROBE_TEXTS[1::2]
"""Texts that an export is measured on: none that its scales were taken from."""

STORED_PROBES: tuple[str, ...] = (
    SENTENCES[0],
    SENTENCES[2],
    "Ein Satz auf Deutsch, 漢字, naïve café, x² + y² = z²",
    _PASSAGES[2],
)
"""Texts whose vectors go into the manifest, for a check that a machine computes what the exporter did."""
