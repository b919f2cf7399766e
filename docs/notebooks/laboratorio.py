# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Laboratorio: un perceptrón multicapa con MNIST
#
# Una red neuronal lee dígitos escritos a mano. En diez ejercicios cambiarás una sola cosa cada vez (el ancho, la
# profundidad, las activaciones, el tamaño de lote, la tasa de aprendizaje) y verás qué le ocurre a la exactitud y al
# tiempo. Los ejercicios son los de una práctica anterior, un cuaderno de TensorFlow al que aquí llamamos *el
# original*. El original entrenó cada red una sola vez; tú la entrenarás con varias semillas, y así podrás comprobar
# cuáles de sus respuestas se sostienen. Un undécimo ejercicio trata de la validación del propio original.
#
# Ejecuta las celdas de arriba abajo. Tal como está, el cuaderno tarda unos cinco minutos en dos núcleos que no tengan
# otra cosa que hacer, y el triple sin compilador de C++. Las ejecuciones terminadas se guardan en la carpeta `runs`,
# junto al cuaderno, y no se repiten: puedes detenerlo cuando quieras (■) y volver a ejecutar la misma celda más tarde
# para continuar.
#
# La primera celda instala el laboratorio si hace falta. Si este cuaderno está en una copia del repositorio, no hay
# que rellenar nada; en otro sitio, como Colab, `ADDRESS` es la dirección del repositorio, que te dará tu profesor o
# profesora.

# %%
import site
import sysconfig
from importlib.util import find_spec
from pathlib import Path

ADDRESS = ""  # por ejemplo, "git+https://github.com/OWNER/NAME"
checkout = Path("../../pyproject.toml").is_file()
if find_spec("mnist_mlp") is None:
    assert checkout or ADDRESS  # fuera de una copia del repositorio, rellena ADDRESS
    wanted = '--editable "../..[report]"' if checkout else f'"mnist-mlp[report] @ {ADDRESS}"'
    get_ipython().run_line_magic("pip", f"install --quiet ipywidgets {wanted}")
    site.addsitedir(sysconfig.get_path("purelib"))

# %%
import os

import matplotlib.pyplot as plt
import pandas as pd

import mnist_mlp as lab

os.environ["LANGUAGE"] = "es"  # los mensajes y las figuras
# os.environ["MNIST_MLP_AUTHOR"] = "Ana García"  # tu nombre, sin el primer #, para los registros
pd.options.display.float_format = "{:.4f}".format

# %% [markdown]
# ## Antes de empezar
#
# ### Los datos
#
# MNIST contiene 70 000 imágenes de dígitos escritos a mano, de 28 × 28 píxeles, cada una con el dígito que
# representa. Se reparten en tres conjuntos:
#
# | imágenes | número | para qué |
# |---|---:|---|
# | entrenamiento | 54 000 | a ellas se ajustan los pesos de la red |
# | validación | 6000 | después de cada época, para seguir el entrenamiento y elegir entre configuraciones |
# | test | 10 000 | una vez, al final: ¿cómo lee la red dígitos que nunca ha visto? |
#
# Cuantas más veces se elige con un mismo conjunto de imágenes, menos dice su exactitud sobre imágenes nuevas. Por eso
# hay dos.

# %%
data = lab.MNISTDataModule()
data.prepare_data()
data.setup()
images, labels = data.test_records

figure, axes = plt.subplots(2, 8, figsize=(8, 2.6))
for number, ax in enumerate(axes.flat):
    ax.imshow(images[number].reshape(28, 28), cmap="gray_r")
    ax.set_title(f"{labels[number]}")
    ax.axis("off")

# %% [markdown]
# ### La red
#
# Un *perceptrón multicapa* hace pasar los 784 píxeles de una imagen por una capa tras otra. Cada capa multiplica por
# una matriz de pesos y suma un sesgo; entre capa y capa, una *función de activación* no lineal transforma el
# resultado: sin ella, todas las capas juntas equivaldrían a una sola. De las diez salidas, la mayor es la predicción.
#
# ```text
#  784 píxeles ──► 200 unidades, ReLU ──► 200 unidades, ReLU ──► 10 salidas ──► dígito
#        784 × 200 + 200       200 × 200 + 200         200 × 10 + 10
#            157 000        +      40 200         +        2010       = 199 210 parámetros
# ```
#
# Esta es la **red de referencia** (*baseline*), con la que se comparan todos los ejercicios: dos capas ocultas de 200
# unidades, ReLU, el optimizador Adam con tasa de aprendizaje 0,001, lotes de 100 imágenes y cinco épocas.
#
# ### Una ejecución
#
# Una **ejecución** (*run*) es un entrenamiento de una red. Interviene el azar: los pesos iniciales y el orden de las
# imágenes se sortean, y el sorteo lo determina la **semilla** (*seed*). Con la misma semilla se repite la misma
# ejecución hasta la última cifra; con otra, sale una red algo distinta. Una **época** es una pasada por todas las
# imágenes de entrenamiento; un **paso del optimizador** corrige los pesos después de cada lote, aquí 540 veces por
# época. La **pérdida** (*loss*; entropía cruzada, en nats) es lo que el entrenamiento reduce; la **exactitud**
# (*accuracy*) es la proporción de imágenes bien clasificadas. Las cifras de entrenamiento de una época son medias
# sobre sus lotes, tomadas mientras los pesos cambian.

# %%
run = lab.train()

# %% [markdown]
# Junto a tus cifras aparecen las del original para la misma red. En el original la exactitud en validación está por
# encima de la exactitud en test; en tu ejecución, no. El ejercicio 11 volverá sobre ello.
#
# `run.network` es la red entrenada; `run.history` tiene una fila por época; `run.test`, las cifras sobre las imágenes
# de test, y `run.predict(images)` predice. Estos son algunos de los dígitos que la red confunde, en la forma
# *verdadero → predicho*:

# %%
run.network

# %%
predicted = run.predict(images).labels
wrong = (predicted != labels.numpy()).nonzero()[0]

figure, axes = plt.subplots(2, 8, figsize=(8, 2.6))
for number, ax in zip(wrong, axes.flat, strict=False):
    ax.imshow(images[number].reshape(28, 28), cmap="gray_r")
    ax.set_title(f"{labels[number]} → {predicted[number]}")
    ax.axis("off")

# %% [markdown]
# ### Varias semillas
#
# `lab.question("q05", seed=range(3))` entrena un ejercicio completo: sus redes y la de referencia, cada una con las
# semillas 0, 1 y 2. El resultado se puede mirar de tres maneras:
#
# - `plot()`: cada punto pequeño es una ejecución; el punto grande, la media de las ejecuciones de una red, y la
#   barra, su intervalo de confianza del 95 %. El intervalo dice dónde puede estar la media de muchísimas semillas;
#   con tres semillas es ancho.
# - `plot("val_accuracy", x="epoch")`: las medias época a época, con bandas para los intervalos.
# - `compare()`: una fila por red. `n` es el número de ejecuciones; `mean`, la media de su exactitud en test, con su
#   intervalo de `low` a `high`. `difference` es la diferencia media con la red de referencia, semilla a semilla,
#   también con su intervalo. El veredicto (`verdict`) es *better* (mejor) o *worse* (peor) si una prueba t muestra
#   una diferencia, *the same* (igual) si se muestra que la diferencia es menor de 0,2 puntos y, si no, *undecided*
#   (sin decidir); `p` es su valor p, ajustado para todas las filas (Holm), y el intervalo de la diferencia dice lo
#   mismo que el veredicto. `needed` es el número de semillas que probablemente lo decidiría. La fila de la propia
#   referencia no tiene diferencia (`NaN`).
#
# Donde una ejecución no llegó al 50 %, la media y su intervalo dicen poco: no hay barra ni intervalo (`NaN`), y la
# diferencia es la mediana de las diferencias semilla a semilla.
#
# Cada semilla tiene además su propia partición en imágenes de entrenamiento y de validación, la misma para todas las
# redes. *Undecided* no quiere decir que no haya diferencia: solo que tan pocas ejecuciones no permiten distinguirla
# del azar. Con tres semillas ese es el veredicto salvo que la diferencia sea grande, y con dos no hay ninguno (*too
# few*, demasiado pocas). Con cinco o más se decide más, y se tarda más: cambia `range(3)` por `range(5)` donde una
# diferencia te importe. Los nombres que acaban en `_as_run` son lo que ejecutó el código del original cuando no
# coincide con lo que pide el ejercicio.
#
# Cuando los valores se reparten mucho, los ejes de exactitud se estiran hacia el 100 % (escala logit). Los segundos
# incluyen todo lo demás que esté haciendo tu ordenador.

# %% [markdown]
# ## Ejercicio 1: ancho de las capas ocultas
#
# > Prueba un ancho de 200 en las capas ocultas. ¿Cómo cambia la exactitud en validación? ¿Cuánto tarda el
# > entrenamiento? ¿Hay algún ancho que funcione mejor?
#
# Ese es el ancho de la red de referencia. Prueba primero con otro:

# %%
run = lab.train(width=256)

# %% [markdown]
# Y ahora los anchos 50, 100, 200 (la referencia), 256, 350 y 512, con tres semillas cada uno. Tarda alrededor de un
# minuto.

# %%
q01 = lab.question("q01", seed=range(3), show=False)
q01.plot()

# %%
q01.plot("val_accuracy", x="epoch")

# %%
q01.plot("seconds", x="parameters")

# %%
q01.compare()

# %% [markdown]
# **Lo que encontró el original**, con un ancho de 200:
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 3 | 0,2748 | 92,23 % | 0,1219 | 96,43 % |
# | 2 | 2 | 0,1059 | 96,77 % | 0,0787 | 97,62 % |
# | 3 | 2 | 0,0711 | 97,83 % | 0,0570 | 98,30 % |
# | 4 | 2 | 0,0529 | 98,32 % | 0,0595 | 98,20 % |
# | 5 | 2 | 0,0393 | 98,79 % | 0,0412 | 98,62 % |
#
# Con las imágenes de test: pérdida 0,0709, exactitud 97,97 %. En resumen, dice:
#
# > La exactitud subió un poco (97,99 frente al 96,73 de la red inicial del curso). El entrenamiento tardó 13,2 s. Se
# > probaron anchos entre 200 y 350; 256 dio una vez 98,82 y no se pudo repetir: ningún ancho dio una mejora
# > considerable y consistente.

# %% [markdown]
# **Para pensar:** del ancho 50 al 512 los parámetros se multiplican por dieciséis. ¿Crece la exactitud al mismo
# ritmo? Una ejecución con ancho 256 dio 98,82, y ninguna otra lo repitió: ¿qué querrías saber antes de afirmar que
# 256 es mejor?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 2: una capa oculta más
#
# > Añade una capa oculta. ¿Cómo cambia la exactitud en validación? ¿Y el tiempo de ejecución?
#
# `experiment=q02` tiene tres capas ocultas de 200; `lab.train(model="deep3")` es lo mismo.

# %%
run = lab.train("experiment=q02")

# %%
q02 = lab.question("q02", seed=range(3), show=False)
q02.plot()

# %%
q02.plot("val_accuracy", x="epoch")

# %%
q02.plot("seconds")

# %%
q02.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 6 | 0,2597 | 92,41 % | 0,1339 | 95,98 % |
# | 2 | 3 | 0,1013 | 96,91 % | 0,0871 | 97,52 % |
# | 3 | 3 | 0,0680 | 97,88 % | 0,0719 | 97,80 % |
# | 4 | 3 | 0,0516 | 98,40 % | 0,0624 | 98,12 % |
# | 5 | 3 | 0,0410 | 98,65 % | 0,0453 | 98,58 % |
#
# Con las imágenes de test: pérdida 0,0723, exactitud 97,85 %. En resumen, dice:
#
# > El modelo no se ve afectado: la exactitud bajó muy ligeramente; el tiempo pasó de unos 13 s a casi 19 s, cerca de
# > un 50 % más.

# %% [markdown]
# **Para pensar:** el original compara una sola ejecución con otra. ¿Cuánto distan entre sí tus tres ejecuciones de
# una misma red, y cuánto distan las dos redes? La tercera capa añade 40 200 parámetros a los 199 210: ¿crece el
# tiempo en la misma proporción?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 3: cinco capas ocultas
#
# > Pasa a cinco capas ocultas y ajusta los anchos como te parezca. ¿Cómo cambia la exactitud en validación? ¿Y el
# > tiempo de ejecución?
#
# `experiment=q03` tiene los anchos que eligió el original: 256, 128, 512, 128, 256. Para probar otros:
# `lab.train("model.hidden_sizes=[300,200,100,50,25]")`.

# %%
run = lab.train("experiment=q03")

# %%
q03 = lab.question("q03", seed=range(3), show=False)
q03.plot()

# %%
q03.plot("val_accuracy", x="epoch")

# %%
q03.plot("seconds")

# %%
q03.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 6 | 0,0450 | 98,57 % | 0,0412 | 98,73 % |
# | 2 | 5 | 0,0343 | 98,94 % | 0,0442 | 98,67 % |
# | 3 | 5 | 0,0338 | 98,97 % | 0,0332 | 99,00 % |
# | 4 | 7 | 0,0285 | 99,13 % | 0,0359 | 98,88 % |
# | 5 | 7 | 0,0277 | 99,13 % | 0,0381 | 98,95 % |
#
# Con las imágenes de test: pérdida 0,0952, exactitud 97,79 %. En resumen, dice:
#
# > Ninguna mejora notable, con ninguno de los anchos probados; el tiempo se duplicó, así que no se considera una
# > mejora.

# %% [markdown]
# **Para pensar:** fíjate en la primera fila de esta tabla y después en la primera época de tu propia ejecución. ¿Qué
# tuvo que ocurrir antes de que el original la mostrara? ¿Qué hace `q03_as_run` al respecto?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 4: sigmoide
#
# > Aplica una sigmoide a las dos capas ocultas.
#
# La forma corta es `lab.train(activation="sigmoid")`.

# %%
run = lab.train("experiment=q04")

# %%
q04 = lab.question("q04", seed=range(3), show=False)
q04.plot()

# %%
q04.plot("val_accuracy", x="epoch")

# %%
q04.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 4 | 0,5191 | 87,13 % | 0,2950 | 91,98 % |
# | 2 | 3 | 0,2573 | 92,69 % | 0,2242 | 93,93 % |
# | 3 | 3 | 0,2016 | 94,22 % | 0,1854 | 94,85 % |
# | 4 | 3 | 0,1681 | 95,17 % | 0,1579 | 95,80 % |
# | 5 | 3 | 0,1404 | 95,99 % | 0,1352 | 96,28 % |
#
# Con las imágenes de test: pérdida 0,1351, exactitud 96,04 %. En resumen, dice:
#
# > La exactitud empieza muy baja y sube hasta 0,96: buena, pero no la mejor de las obtenidas.

# %% [markdown]
# **Para pensar:** ¿cuál es la mayor pendiente de una sigmoide, y cuál la de ReLU? ¿Qué consecuencias tiene para el
# gradiente de la primera capa que detrás haya dos sigmoides? Y otra cosa: las cifras del original son las de
# `q04_as_run`. ¿Qué red es esa (mira `q04.table()`), y responde al ejercicio?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 5: ReLU y después tanh
#
# > Aplica ReLU a la primera capa oculta y tanh a la segunda.
#
# La forma corta es `lab.train(activation="relu_tanh")`.

# %%
run = lab.train("experiment=q05")

# %%
q05 = lab.question("q05", seed=range(3), show=False)
q05.plot()

# %%
q05.plot("val_accuracy", x="epoch")

# %%
q05.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 7 | 0,2557 | 92,55 % | 0,1373 | 95,98 % |
# | 2 | 5 | 0,1002 | 96,97 % | 0,0813 | 97,52 % |
# | 3 | 4 | 0,0660 | 97,95 % | 0,0613 | 98,10 % |
# | 4 | 4 | 0,0469 | 98,55 % | 0,0569 | 98,23 % |
# | 5 | 3 | 0,0351 | 98,93 % | 0,0421 | 98,67 % |
#
# Con las imágenes de test: pérdida 0,0708, exactitud 97,83 %. En resumen, dice:
#
# > Pérdida muy baja y exactitud alta: tanh junto a ReLU es una buena opción para este problema.

# %% [markdown]
# **Para pensar:** en el original la exactitud en test es del 97,83 % aquí y del 97,97 % en la red de referencia, y su
# respuesta llama a tanh una buena opción. ¿Se desprende eso de las cifras? ¿Qué anchura tiene el intervalo de tu
# diferencia, y cuántas semillas harían falta para apreciar una décima de punto?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 6: tamaño de lote 10 000
#
# > Prueba un tamaño de lote de 10 000. ¿Cómo cambia el tiempo necesario? ¿Cómo cambia la exactitud?

# %%
run = lab.train("experiment=q06")

# %%
q06 = lab.question("q06", seed=range(3), show=False)
q06.plot()

# %%
q06.plot("val_accuracy", x="epoch")

# %%
q06.plot("seconds")

# %%
q06.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 4 | 1,9456 | 47,06 % | 1,3710 | 72,42 % |
# | 2 | 1 | 1,0834 | 77,10 % | 0,7020 | 83,40 % |
# | 3 | 2 | 0,5887 | 84,86 % | 0,4589 | 86,92 % |
# | 4 | 1 | 0,4196 | 87,80 % | 0,3730 | 88,75 % |
# | 5 | 1 | 0,3529 | 89,70 % | 0,3282 | 90,37 % |
#
# Con las imágenes de test: pérdida 0,3205, exactitud 91,00 %. En resumen, dice:
#
# > El tiempo es parecido al original, un poco menor; la exactitud bajó un 6 %, más que con ninguna otra configuración
# > hasta entonces.

# %% [markdown]
# **Para pensar:** ¿cuántos pasos del optimizador da cada una de las dos redes (mira `q06.table()`)? La red con el
# lote grande, ¿ha terminado de aprender al cabo de cinco épocas? Para comparar dos tamaños de lote en igualdad de
# condiciones, ¿qué mantendrías fijo: las épocas, los pasos o el tiempo?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 7: tamaño de lote 1
#
# > Pon el tamaño de lote a 1, lo que corresponde a SGD. ¿Cómo cambian el tiempo y la exactitud? ¿Es coherente con la
# > teoría?
#
# El original tardó 18 minutos en esta ejecución. Aquí cada una tarda entre 15 y 60 segundos, y unos dos minutos sin
# compilador de C++.

# %%
run = lab.train("experiment=q07")

# %%
q07 = lab.question("q07", seed=range(3), show=False)
q07.plot()

# %%
q07.plot("val_accuracy", x="epoch")

# %%
q07.plot("seconds")

# %%
q07.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 186 | 0,2566 | 92,89 % | 0,1901 | 95,48 % |
# | 2 | 198 | 0,1801 | 95,65 % | 0,1477 | 96,55 % |
# | 3 | 270 | 0,1640 | 96,32 % | 0,1553 | 96,90 % |
# | 4 | 229 | 0,1543 | 96,63 % | 0,1429 | 96,13 % |
# | 5 | 192 | 0,1442 | 96,96 % | 0,1539 | 96,77 % |
#
# Con las imágenes de test: pérdida 0,2233, exactitud 96,57 %. En resumen, dice:
#
# > Con mucho la más lenta: tarda más de 80 veces lo que la original; la exactitud es casi la misma y no mejora
# > (en torno a 0,97).
# > Es coherente con la teoría del descenso de gradiente estocástico: los lotes pequeños introducen ruido.

# %% [markdown]
# **Para pensar:** ¿qué optimizador da estos pasos? ¿Es el de la teoría? ¿Cómo evolucionan, época a época, la pérdida
# y la exactitud en validación, al lado de las de la referencia (`q07.plot("val_loss", x="epoch")`)? ¿Qué otro ajuste
# cambiarías junto con el tamaño de lote?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 8: tasa de aprendizaje 0,0001
#
# > Pon la tasa de aprendizaje a 0,0001. ¿Se nota alguna diferencia?
#
# La forma corta es `lab.train(lr=0.0001)`.

# %%
run = lab.train("experiment=q08")

# %%
q08 = lab.question("q08", seed=range(3), show=False)
q08.plot()

# %%
q08.plot("val_accuracy", x="epoch")

# %%
q08.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 9 | 0,7265 | 81,99 % | 0,3280 | 90,42 % |
# | 2 | 5 | 0,2756 | 92,35 % | 0,2401 | 93,33 % |
# | 3 | 5 | 0,2188 | 93,93 % | 0,1934 | 94,40 % |
# | 4 | 5 | 0,1817 | 94,77 % | 0,1702 | 94,92 % |
# | 5 | 5 | 0,1579 | 95,42 % | 0,1515 | 95,43 % |
#
# Con las imágenes de test: pérdida 0,1536, exactitud 95,48 %. En resumen, dice:
#
# > La convergencia es más lenta y el tiempo, cerca del doble del original; no se afirma ninguna diferencia
# > significativa en la exactitud.

# %% [markdown]
# **Para pensar:** el original tardó el doble. ¿Qué cálculo de una época depende de la tasa de aprendizaje? Si no es
# eso, ¿de dónde pudo salir el tiempo? Y la tasa más pequeña, ¿es peor o simplemente no ha terminado? Prueba con más
# épocas.
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 9: tasa de aprendizaje 0,02
#
# > Pon la tasa de aprendizaje a 0,02. ¿Hay alguna diferencia?

# %%
run = lab.train("experiment=q09")

# %%
q09 = lab.question("q09", seed=range(3), show=False)
q09.plot()

# %%
q09.plot("val_accuracy", x="epoch")

# %%
q09.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 7 | 6,9588 | 14,18 % | 2,2806 | 11,58 % |
# | 2 | 4 | 2,1904 | 16,37 % | 2,1023 | 18,82 % |
# | 3 | 4 | 2,1004 | 18,43 % | 2,0783 | 19,18 % |
# | 4 | 4 | 2,2288 | 13,45 % | 2,3247 | 9,67 % |
# | 5 | 4 | 2,3163 | 10,29 % | 2,3143 | 10,25 % |
#
# Con las imágenes de test: pérdida 2,3125, exactitud 10,28 %. En resumen, dice:
#
# > Con 0,2 el modelo va muy mal, con un 10 % de exactitud en validación: no converge y no aprende nada.

# %% [markdown]
# **Para pensar:** ¿qué exactitud tiene una red que a todas las imágenes les asigna el mismo dígito? La respuesta del
# original se refiere a una tasa de aprendizaje distinta de la del ejercicio: ¿qué habría respondido con la correcta?
# ¿Están las semillas igual de próximas entre sí con 0,02 que con 0,2?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 10: todo combinado
#
# > Combina todos los métodos anteriores e intenta llegar a una exactitud en validación del 98,5 % o más.
#
# `experiment=q10` es la combinación con la que terminó el original: 256 unidades ReLU, 128 tanh y 192 sigmoides, tasa
# de aprendizaje 0,0005 y tamaño de lote 25.

# %%
run = lab.train("experiment=q10")

# %%
q10 = lab.question("q10", seed=range(3), show=False)
q10.plot()

# %%
q10.plot("val_accuracy", x="epoch")

# %%
q10.compare()

# %% [markdown]
# **Lo que encontró el original:**
#
# | época | segundos | pérdida (entrenamiento) | exactitud | pérdida (validación) | exactitud |
# |---:|---:|---:|---:|---:|---:|
# | 1 | 12 | 0,2701 | 92,38 % | 0,1337 | 96,13 % |
# | 2 | 10 | 0,0970 | 97,08 % | 0,1040 | 96,90 % |
# | 3 | 11 | 0,0638 | 98,05 % | 0,0673 | 97,97 % |
# | 4 | 11 | 0,0475 | 98,53 % | 0,0540 | 98,65 % |
# | 5 | 10 | 0,0360 | 98,87 % | 0,0601 | 98,38 % |
#
# Con las imágenes de test: pérdida 0,0812, exactitud 97,71 %. En resumen, dice:
#
# > El mejor intento dio un 97,71 % en test (98,38 % en validación en la última época); no se llegó al 98,5 %.

# %% [markdown]
# **Para pensar:** el objetivo es de exactitud en *validación*. Vuelve a mirar las épocas del original: ¿concuerda con
# ellas su respuesta? ¿Cuáles de los cambios de los ejercicios 1 a 9 te han servido, y sirven también juntos? Si
# pruebas cincuenta combinaciones y te quedas con la de mejor exactitud en validación, ¿qué esperas de su exactitud en
# test?
#
# **Tu respuesta:** …

# %%

# %% [markdown]
# ## Ejercicio 11: ¿por qué la validación sale mejor que el test?
#
# En el original, la red de referencia tiene una exactitud del 98,62 % en validación y del 97,97 % en test, y con la
# mayoría de sus otras redes pasa lo mismo. En teoría no se entrena con ninguno de los dos conjuntos: la validación no
# debería ser más fácil.
#
# `data=notebook` divide las imágenes como el original; lo normal aquí, `data=mnist`, las divide de una vez por todas.
# Estas son la misma red y las mismas semillas con ambas particiones:

# %%
leak = lab.sweep(data=["mnist", "notebook"], seed=range(3), show=False)
leak.plot("val_accuracy")

# %%
leak.plot("test_accuracy")

# %%
leak.compare(of="val_accuracy")

# %%
leak.compare(of="test_accuracy")

# %% [markdown]
# El original preparó los datos con TensorFlow; en resumen, así:
#
# ```python
# shuffled = mnist_train.shuffle(10_000)
# validation = shuffled.take(6_000)
# train = shuffled.skip(6_000)
# ```
#
# La celda siguiente contiene los números de las imágenes de validación y los de las que se usan para entrenar en la
# primera época, con la partición del original.

# %%
data = lab.MNISTDataModule(protocol="notebook")
data.setup("fit")
validation = data.protocol.validation()
training = data.protocol.training(seed=0, epoch=0)
len(validation), len(training)

# %% [markdown]
# **Para pensar:** ¿cuántas de las imágenes de validación se usan también para entrenar en la primera época? ¿Y en al
# menos una de cinco épocas? ¿Y con `protocol="disjoint"`? (`numpy.isin` te será útil). ¿Cuál de las tres líneas tiene
# la culpa, y cómo la arreglarías? ¿De qué cifras del original te puedes fiar todavía, y cuáles de sus diez respuestas
# retirarías?
#
# ¿Y las exactitudes en test? ¿Qué dice de ellas el veredicto con tres semillas, qué con diez, y por qué?
#
# **Tu respuesta:** …
#
# Cuando tengas una respuesta, compárala con la página sobre [los dos protocolos](../protocols.md) (en inglés).

# %%

# %% [markdown]
# ## Un experimento propio
#
# Plantea tu propia pregunta, escribe qué esperas que ocurra y solo entonces entrena. Cualquier ajuste se puede
# cambiar y barrer: una lista tiene un valor por red, y `seed=range(3)` repite cada una. `lab.sweep(...)` admite lo
# mismo que la línea de comandos: mira [los barridos](../sweeps.md) (en inglés) o `python train.py --help`. Un
# ejemplo: ¿se nota igual el ancho en una red pequeña?

# %%
own = lab.sweep(width=[25, 100, 400], seed=range(3), show=False)
own.plot(x="parameters")

# %%
own.compare("hidden_sizes=100-100")

# %% [markdown]
# **Qué preguntabas, qué esperabas y qué ha salido:** …

# %%

# %% [markdown]
# ## Qué hay que entregar
#
# 1. Este cuaderno, con todas las celdas ejecutadas, tus pruebas y un texto en cada *Tu respuesta*. Di en cada
#    ejercicio qué has comparado, con cuántas semillas y qué concluyes; una conclusión que las cifras no respaldan es
#    peor que «no se puede decidir».
# 2. La carpeta `runs` que está junto a él, comprimida en zip. Contiene el registro de cada ejecución, para que otras
#    personas puedan comprobarlas y repetirlas.
#
# Esta tabla muestra lo que hay en ella:

# %%
lab.results("runs").groupby("label")["test_accuracy"].agg(["count", "mean", "min", "max"])
